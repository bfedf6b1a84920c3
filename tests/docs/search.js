/* What the search of a site answers: the site's folder and one query after the other are the arguments, and a line of JSON is the answer to each. */
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const [site, ...queries] = process.argv.slice(2);
const page = vm.createContext({
  _: (text) => text,
  _ready: () => {},
  document: { getElementById: () => null },
  SPHINX_HIGHLIGHT_ENABLED: false,
});
page.window = page;
for (const file of ["_static/searchtools.js", "_static/language_data.js", "searchindex.js"])
  vm.runInContext(fs.readFileSync(path.join(site, file), "utf8"), page, { filename: file });
for (const query of queries) {
  page.query = query;
  const results = vm.runInContext("Search._performSearch(...Search._parseQuery(query))", page);
  console.log(JSON.stringify(results.reverse().map(([name, title, anchor]) => [name, title, anchor])));
}
