/**
 * What differs between platforms.
 *
 * @module
 */

/** The machine, as far as calling conventions and file names go. */
export interface Platform {
  readonly os: "linux" | "darwin" | "windows";
  readonly arch: "x86_64" | "aarch64";
}
