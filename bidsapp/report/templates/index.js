"use strict";
// Filters the contrasts of an index, in its list and in its tables, by words and by whether anything was found.
(() => {
  const form = document.querySelector(".find"), words = form.querySelector("[type=search]");
  const found = form.querySelector("[type=checkbox]"), told = form.querySelector("output");
  const entries = [...document.querySelectorAll(".entry")];
  function filter() {
    const wanted = words.value.toLowerCase().replaceAll("_", " ").split(/\s+/).filter(Boolean);
    const kept = entries.map((entry) => {
      const text = entry.dataset.words.toLowerCase().replaceAll("_", " ");
      return wanted.every((word) => text.includes(word)) && (!found.checked || entry.dataset.found !== "0");
    });
    entries.forEach((entry, k) => { entry.hidden = !kept[k]; });
    document.querySelectorAll("table.matrix tbody").forEach((body) => {
      [...body.rows].forEach((row, k) => { row.hidden = !kept[k]; });
    });
    const n = kept.filter(Boolean).length;
    told.textContent = n < entries.length ? `${n} of ${entries.length}` : "";
  }
  form.hidden = entries.length < 2;
  form.addEventListener("input", filter);
})();
