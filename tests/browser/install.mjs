// Unpacks the browser beside its package: once, not into the machine's folder for temporary files,
// where other users could put a program of the same name.
import { mkdirSync } from "node:fs";
import { BROWSER } from "./browser.mjs";

mkdirSync(BROWSER, { recursive: true });
process.env.TMPDIR = BROWSER;
// By this name the package knows a machine without NSS, and unpacks the libraries, too.
process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs24.x";
const { default: chromium } = await import("@sparticuz/chromium");
await chromium.executablePath();
