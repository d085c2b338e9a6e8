// Looks at HTML reports as readers do: Chromium and Firefox, three widths, light and dark, and print; with axe's findings.
//
//   npm install --no-save puppeteer-core axe-core      (in a folder of its own, which NODE_PATH names)
//   NODE_PATH=FOLDER/node_modules node tools/look_at_pages.mjs OUT report.html ...
//
// CHROMIUM and FIREFOX name the browsers, else /usr/bin/chromium and /usr/bin/firefox-esr. Pictures go to OUT, one line a
// page to stdout; the exit status is 1 where axe finds anything or a page is wider than its window.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(import.meta.url);
const puppeteer = require("puppeteer-core").default ?? require("puppeteer-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [out, ...pages] = process.argv.slice(2);
const WIDTHS = [390, 820, 1280];
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
let wrong = 0;

function browser(name, scheme) {
  if (name === "chrome") {
    const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
    return puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
  }
  const extraPrefsFirefox = {
    "layout.css.prefers-color-scheme.content-override": scheme === "dark" ? 0 : 1,
    "security.csp.enable": false, // the page's own policy keeps axe out, too
  };
  const executablePath = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
  return puppeteer.launch({ browser: "firefox", executablePath, extraPrefsFirefox });
}

async function look(page, name, scheme, file, width) {
  const shown = path.basename(file, ".html");
  await page.setViewport({ width, height: 900 });
  if (name === "chrome") {
    await page.setBypassCSP(true);
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  }
  await page.goto(`file://${path.resolve(file)}`);
  await page.screenshot({ path: path.join(out, `${shown}-${name}-${scheme}-${width}.png`), fullPage: true });
  const beyond = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  // Shaded edges keep axe from telling the contrast of what scrolls.
  await page.addStyleTag({ content: ".scroll { background: none !important }" });
  await page.evaluate((source) => (0, eval)(source), axe);
  const found = await page.evaluate((values) => window.axe.run(document, { runOnly: values }), TAGS);
  const told = found.violations.map((item) => `${item.id} (${item.nodes.length})`).join(", ");
  console.log(`${shown} ${name} ${scheme} ${width}: ${beyond} px beyond the window, axe: ${told || "nothing"}`);
  wrong += found.violations.length + (beyond > 0);
}

fs.mkdirSync(out, { recursive: true });
for (const name of ["chrome", "firefox"])
  for (const scheme of ["light", "dark"]) {
    const opened = await browser(name, scheme);
    for (const file of pages)
      for (const width of WIDTHS) {
        const page = await opened.newPage();
        await look(page, name, scheme, file, width);
        if (name === "chrome" && scheme === "light" && width === WIDTHS[0])
          await page.pdf({ path: path.join(out, `${path.basename(file, ".html")}.pdf`), format: "A4" });
        await page.close();
      }
    await opened.close();
  }
process.exit(wrong ? 1 : 0);
