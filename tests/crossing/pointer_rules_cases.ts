/**
 * Programs that keep or break the rules for pointers, in the spirit of cmd/cgo's own table (`errors_test/ptr_test.go`).
 * `programs/pointer_rules.ts` runs one.
 *
 * @module
 */

import { argumentRuleCases } from "./argument_rules.ts";
import { memoryRuleCases } from "./memory_rules.ts";
import type { PointerRuleCase } from "./pointer_rule_case.ts";

/** All of them. */
export const pointerRuleCases: readonly PointerRuleCase[] = [...argumentRuleCases, ...memoryRuleCases];
