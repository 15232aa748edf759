// What the tests of editors share.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const PATIENCE_MS = Number(process.env.HEARTH_TEST_PATIENCE_MS ?? 120_000);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `what` gives something true, and gives that. */
export async function until(what, message, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await what();
    if (found) return found;
    if (Date.now() > end) throw new Error(`in vain: ${typeof message === "function" ? await message() : message}`);
    await sleep(50);
  }
}

/** The program under test. */
export function program() {
  return process.env.HEARTH_BIN ?? join(ROOT, "build/hearth");
}
