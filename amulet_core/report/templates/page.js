"use strict";
// Search, filter and columns of a long report. Texts are compared and counted, never written into the page.
(() => {
  const [panel, text, verdict, all, said] = ["", "-text", "-verdict", "-all", "-count"].map((name) =>
    document.getElementById(`filter${name}`));
  const boxes = [...panel.querySelectorAll("input[type=checkbox]")];
  const table = document.querySelector("table.matrix");
  const lines = [...table.tBodies[0].rows].map((row) => ({
    id: row.dataset.row,
    text: `${row.cells[0].textContent} ${row.dataset.chain}`.toLowerCase(),
    verdicts: [...row.cells].slice(1).map((cell) => cell.querySelector(".verdict")?.lastChild.data.trim()),
  }));
  const count = (shown, total, name) => (shown === total ? `${total} ${name}` : `${shown} of ${total} ${name}`);

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const asked = ({ verdicts }) => !verdict.value || verdicts.some((each, at) => boxes[at].checked && each === verdict.value);
    const found = new Set(
      lines.filter((line) => words.every((word) => line.text.includes(word)) && asked(line)).map((line) => line.id));
    for (const part of document.querySelectorAll("[data-row]")) part.classList.toggle("off", !found.has(part.dataset.row));
    const rows = count(found.size, lines.length, "rows");
    const columns = boxes.filter((box) => box.checked).length;
    said.textContent = columns < boxes.length ? `${rows}, ${count(columns, boxes.length, "columns")}` : rows;
    for (const note of document.querySelectorAll(".filtered")) {
      note.hidden = found.size === lines.length;
      note.textContent = `The tables and details below show ${rows}, as chosen above the matrix.`;
    }
  };
  const choose = () => {
    for (const row of table.rows) {
      boxes.forEach((box, at) => row.cells[at + 1].classList.toggle("off", !box.checked));
    }
    filter();
  };

  text.addEventListener("input", filter);
  verdict.addEventListener("change", filter);
  for (const box of boxes) box.addEventListener("change", choose);
  all.addEventListener("click", () => {
    text.value = verdict.value = "";
    for (const box of boxes) box.checked = true;
    choose();
    text.focus();
  });
  panel.hidden = false;
  // Once more when the rest has been read: a browser may bring back what was typed before a reload.
  choose();
  document.addEventListener("DOMContentLoaded", choose);
})();
