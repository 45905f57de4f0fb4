/**
 * belay's version, since a module from a registry can't read the package's manifest.
 *
 * @module
 */

/** The version of this package, as its manifests have it. */
export const version = "0.1.0";
