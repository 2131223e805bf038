"use strict";
// Copies tables of results: tab-separated, Markdown, LaTeX, or the result as a sentence.
(() => {
  const LATEX = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$",
    "−": "$-$", "²": "$^2$", "³": "$^3$", "–": "--", "’": "'", "≥": "$\\geq$", "≤": "$\\leq$",
  };
  const latex = (words) => words.replace(/[\\~^<>|−²³–’≥≤]|[&%$#_{}]/g, (c) => LATEX[c] ?? `\\${c}`);
  const markdown = (words) => words.replace(/[\\|*_`<>[\]]/g, "\\$&");
  // Spreadsheets read neither a true minus nor commas between thousands.
  const plain = (words) => words.replace(/−(?=[\d.])/g, "-").replace(/\d{1,3}(,\d{3})+(?!\d)/g, (n) => n.replaceAll(",", ""));
  const clean = (cell) => cell.textContent.replace(/\s+/g, " ").trim();

  // The columns that the reader chose, whatever the window has room for.
  function read(box) {
    const all = box.querySelector(".all-columns input").checked, [, names] = box.querySelectorAll("thead tr");
    const chosen = [...names.cells].map((head) => all || !head.classList.contains("more"));
    const pick = (row) => [...row.cells].filter((_, k) => chosen[k]);
    return {
      names: pick(names).map((head) => head.dataset.name),
      numbers: pick(names).map((head) => head.classList.contains("number")),
      rows: [...box.querySelectorAll("tbody tr")].map((row) => ({ sub: row.classList.contains("sub"), cells: pick(row).map(clean) })),
    };
  }

  const makers = {
    tsv: ({ names, rows, numbers }) => [names, ...rows.map(({ cells }) => cells.map((cell, k) => (numbers[k] ? plain(cell) : cell)))]
      .map((row) => row.join("\t")).join("\n"),
    markdown: ({ names, numbers, rows }) => [
      names.map(markdown), numbers.map((is) => (is ? "---:" : "---")),
      ...rows.map(({ sub, cells }) => cells.map((cell, k) => (sub && !k ? "&emsp;" : "") + markdown(cell))),
    ].map((row) => `| ${row.join(" | ")} |`).join("\n"),
    latex: ({ names, numbers, rows }) => [
      `\\begin{tabular}{${numbers.map((is) => (is ? "r" : "l")).join("")}}`, "\\hline", `${names.map(latex).join(" & ")} \\\\`, "\\hline",
      ...rows.map(({ sub, cells }) => `${cells.map((cell, k) => (sub && !k ? "\\quad " : "") + latex(cell)).join(" & ")} \\\\`),
      "\\hline", "\\end{tabular}",
    ].join("\n"),
  };

  // From a file a page may have no clipboard of its own; then by the command, as by hand.
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea"), before = document.activeElement;
      area.value = text;
      area.setAttribute("readonly", "");
      area.style.cssText = "position:fixed;top:0;left:0;opacity:0";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      before?.focus({ preventScroll: true });
      return done;
    }
  }

  document.querySelectorAll(".results .copies").forEach((bar) => { bar.hidden = false; });
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("[data-copy]");
    if (!button) return;
    const box = button.closest(".results"), kind = button.dataset.copy, said = box.querySelector(".copied");
    const table = read(box), text = kind === "sentence" ? button.dataset.sentence : makers[kind](table);
    const what = kind === "sentence" ? "The sentence" : `${table.rows.length} rows`;
    said.textContent = "";
    const done = await copy(text);
    // A new text, also where it says the same: screen readers tell changes.
    setTimeout(() => { said.textContent = done ? `${what} copied (${button.textContent}).` : "This browser does not let the page copy: select the table by hand."; }, 50);
  });
})();
