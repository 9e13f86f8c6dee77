// Unpacks the browser beside its package: once, not into the machine's folder for temporary files,
// where other users could put a program of the same name.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BROWSER } from "./browser.mjs";

mkdirSync(BROWSER, { recursive: true });
process.env.TMPDIR = BROWSER;
// By this name the package knows a machine without NSS, and unpacks the libraries, too.
process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs24.x";
const { default: chromium } = await import("@sparticuz/chromium");
await chromium.executablePath();

// The package's own configuration names folders of a Lambda function. On a machine without fonts in
// any of them, Chromium ends as soon as it has text to draw.
const fonts = join(BROWSER, "fonts");
writeFileSync(
  join(fonts, "fonts.conf"),
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${join(fonts, "fonts")}</dir>
  <cachedir>${join(fonts, "cache")}</cachedir>
</fontconfig>
`,
);
