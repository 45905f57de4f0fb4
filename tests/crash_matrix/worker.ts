/** Runs one of the workers' programs, and says when it has ended. */

import { waitForGood } from "./own_events.ts";
import { workerPrograms } from "./steps.ts";

const scope = globalThis as unknown as {
  onmessage: (event: { data: string }) => void;
  postMessage(message: "begun" | "ended"): void;
};

scope.onmessage = ({ data: program }) => {
  const programs: typeof workerPrograms = { ...workerPrograms, waitForGood };
  programs[program](() => scope.postMessage("begun"));
  scope.postMessage("ended");
};
