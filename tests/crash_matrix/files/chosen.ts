/** What these programs are told, by their environment: test files take no arguments. */

import process from "node:process";
import { type Api, apis } from "../api.ts";

/** The API that they use. */
export const chosenApi: Api = apis[process.env["BELAY_MATRIX_API"] as keyof typeof apis];
/** A folder for what they write. */
export const scratchFolder: string = process.env["BELAY_MATRIX_FOLDER"] ?? "";
