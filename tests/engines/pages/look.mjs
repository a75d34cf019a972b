// Opens a page in Chromium as people do, and prints as JSON what they would see: requests, errors, sections, cells, tables.
//
//     node look.mjs FOLDER-OF-NODE_MODULES URL [WIDTH] [light|dark] [PDF]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, url, width = "1280", colorScheme = "light", pdf] = process.argv.slice(2);
const { chromium } = createRequire(join(folder, "x.js"))("playwright-core");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-background-networking"] });
const page = await browser.newPage({ viewport: { width: Number(width), height: 900 }, colorScheme });
const requests = [];
const errors = [];
page.on("request", (request) => requests.push(request.url()));
page.on("console", (message) => errors.push(message.text()));
page.on("pageerror", (error) => errors.push(String(error)));
await page.goto(url);
const seen = await page.evaluate(() => ({
  lang: document.documentElement.lang,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  sections: [...document.querySelectorAll("main > section")].map((section) => section.id),
  text: document.body.innerText,
  days: [...document.querySelectorAll("[data-date]")].map((cell) => [cell.dataset.date, cell.dataset.state, "restated" in cell.dataset]),
  tables: Object.fromEntries(
    [...document.querySelectorAll("main > section")].map((section) => [
      section.id,
      [...section.querySelectorAll(".frame table")].map((table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent))),
    ]),
  ),
}));
await page.evaluate(readFileSync(join(folder, "node_modules/axe-core/axe.min.js"), "utf8"));
const { violations } = await page.evaluate(() => window.axe.run());
if (pdf) await page.pdf({ path: pdf, preferCSSPageSize: true });
await browser.close();
console.log(JSON.stringify({ ...seen, requests, errors, violations: violations.map(({ id, nodes }) => [id, nodes[0].html]) }));
