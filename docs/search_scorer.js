/* What a search shows first: a page whose title or heading has the words asked for, guides, and the API after all else. */
"use strict";

const GUIDES = ["docs/quickstart", "docs/data", "docs/training", "docs/results"];

var Scorer = {
  score: ([page, , , , score]) => {
    if (page.startsWith("docs/api/")) return score - 10;
    const asked = (new URLSearchParams(location.search).get("q") || "").trim().toLowerCase();
    const { docnames, titles, alltitles } = Search._index;
    const number = docnames.indexOf(page);
    const heads = (text) => text.toLowerCase().includes(asked);
    if (heads(titles[number])) score += 5;
    if (Object.entries(alltitles).some(([text, places]) => heads(text) && places.some(([n]) => n === number))) score += 10;
    return GUIDES.includes(page) ? score + 3 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
