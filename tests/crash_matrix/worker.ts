/** Runs one of the workers' programs, and says when it begins and when it has ended. */

import { apis } from "./api.ts";
import { workerPrograms } from "./events.ts";

const scope = globalThis as unknown as {
  onmessage: (event: { data: [keyof typeof apis, string] }) => void;
  postMessage(message: "begun" | "ended"): void;
};

scope.onmessage = ({ data: [api, program] }) => {
  scope.postMessage("begun");
  workerPrograms[program](apis[api]);
  scope.postMessage("ended");
};
