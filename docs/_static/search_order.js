// The order of what the site's search finds: guides come before pages for those who work on the code.
// The weights are Sphinx's own; `score` is its hook for changing them (html_search_scorer).
const BEHIND = ["architecture", "changelog", "contributing", "index", "results"];

var Scorer = {
  score: ([name, , , , score]) => BEHIND.includes(name) || name.startsWith("reference/") ? score - 6 : score,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
