/* The order of what the search finds, which Sphinx loads beside the search itself (`html_search_scorer`). */
"use strict";

{
  const DROPPED = -1;
  const LABELS = { tasks: "Task", guides: "Guide", reference: "Reference" };
  const PAGES_FOR_PEOPLE = /^(tasks|guides)\//;
  const NAME = /[._]|[a-z][A-Z]/; // create_phone_call, client.call, AsyncRetell

  const stems = (text) => splitQuery(text.toLowerCase()).map((word) => new Stemmer().stemWord(word));
  const parts = (name) => name.replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase().split("_");

  let typed = { raw: [], words: [], isName: false };
  let subjects = new Map();

  /** By page, the words of its title and those that builder/search.py says it is looked for by. */
  const subjectsOf = (index) => {
    const found = new Map(index.docnames.map((page, number) => [page, new Set(stems(index.titles[number]))]));
    for (const [entry, places] of Object.entries(index.indexentries))
      for (const [page, anchor, isMain] of places)
        if (isMain && !anchor) stems(entry).forEach((word) => found.get(index.docnames[page]).add(word));
    return found;
  };

  /** A name of Python is found by itself or by whole words of it, and not by letters inside of it. */
  const scoreName = (name, score) => {
    const last = name.split(".").pop();
    const queried = typed.raw.map((word) => word.toLowerCase());
    if (queried.includes(last.toLowerCase()) || queried.includes(name.toLowerCase())) return score + (typed.isName ? 60 : 0);
    return parts(last).some((part) => queried.includes(part)) ? 1 : DROPPED;
  };

  Scorer = {
    objNameMatch: 11,
    objPartialMatch: 6,
    objPrio: { 0: 15, 1: 5, 2: -5 },
    objPrioDefault: 0,
    title: 15,
    partialTitle: 3,
    term: 5,
    partialTerm: 1,
    score: ([page, title, , , score, , kind]) => {
      if (kind === "object") return scoreName(title, score);
      const subject = subjects.get(page);
      const held = typed.words.filter((word) => subject.has(word)).length / (typed.words.length || 1);
      return score + 40 * held + (PAGES_FOR_PEOPLE.test(page) ? 20 : 0);
    },
  };

  const perform = Search._performSearch;
  Search._performSearch = (query, words, ...rest) => {
    const raw = splitQuery(query);
    raw.filter((word) => /^\d+$/.test(word)).forEach((number) => words.add(number)); // 429, which Sphinx leaves out
    typed = { raw, words: [...words], isName: NAME.test(query.trim()) };
    subjects = subjectsOf(Search._index);
    const seen = new Set();
    return perform(query, words, ...rest)
      .reverse() // the best is the last
      .filter(([page, title, , , score]) => {
        const looks = `${page} ${title}`;
        return score !== DROPPED && !seen.has(looks) && seen.add(looks);
      })
      .map(([page, title, ...more]) => {
        const [, section] = page.match(/^(tasks|guides|reference)\//) ?? [];
        const isName = more[1] !== null; // of Python: what it is of is said already
        return [page, section && !isName ? `${LABELS[section]}: ${title}` : title, ...more];
      })
      .reverse();
  };
}
