// The browser that the tests start: Chromium from an npm package, with its own libraries and fonts.
import { join } from "node:path";
import { chromium } from "playwright-core";

export const BROWSER = join(import.meta.dirname, "node_modules", ".chromium");

/** Start it. AXON_CHROMIUM names another one, where the package has none for the machine. */
export function launch() {
  const other = process.env.AXON_CHROMIUM;
  const own = { LD_LIBRARY_PATH: join(BROWSER, "al2023", "lib"), FONTCONFIG_PATH: join(BROWSER, "fonts") };
  return chromium.launch({
    executablePath: other ?? join(BROWSER, "chromium"),
    env: { ...process.env, ...(other ? {} : own) },
    args: ["--no-sandbox"], // CI and containers are root, and have no user namespaces
  });
}
