"use strict";
{
  const runs = [...document.querySelectorAll("details.run")];
  const bar = document.querySelector("[data-history]");
  const words = bar.querySelector("[data-words]");
  const texts = new Map(runs.map((run) => [run, run.textContent.toLowerCase()]));
  const find = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const keys = [...bar.querySelectorAll("[data-key]")].filter((select) => select.value);
    for (const run of runs) {
      const fits = keys.every((select) => run.dataset[select.dataset.key] === select.value);
      run.hidden = !fits || !wanted.every((word) => texts.get(run).includes(word));
    }
    bar.querySelector("[data-left]").textContent = `${runs.filter((run) => !run.hidden).length} of ${runs.length} shown`;
  };
  bar.hidden = false;
  bar.addEventListener("input", find);
  find();

  const picker = document.querySelector("[data-difference]");
  const [before, after] = picker.querySelectorAll("select");
  const shown = document.querySelector("[data-shown]");
  for (const select of [before, after]) {
    for (const run of runs) select.add(new Option(`${run.id} ${run.dataset.workflow}`, run.id));
  }
  const outputs = (id) => new Map([...document.getElementById(id).querySelectorAll("[data-output]")].map((pre) => [pre.dataset.output, pre.textContent]));
  // The longest common lines, as every diff has them; outputs are cut to what a page carries, so this stays small.
  const lines = (one, two) => {
    const length = Array.from({ length: one.length + 1 }, () => new Array(two.length + 1).fill(0));
    for (let i = one.length - 1; i >= 0; i--) {
      for (let j = two.length - 1; j >= 0; j--) {
        length[i][j] = one[i] === two[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
      }
    }
    const found = [];
    for (let i = 0, j = 0; i < one.length || j < two.length; ) {
      if (i < one.length && j < two.length && one[i] === two[j]) found.push([" ", one[i++]]), j++;
      else if (j >= two.length || (i < one.length && length[i + 1][j] >= length[i][j + 1])) found.push(["-", one[i++]]);
      else found.push(["+", two[j++]]);
    }
    return found;
  };
  const compare = () => {
    const [one, two] = [outputs(before.value), outputs(after.value)];
    shown.replaceChildren();
    for (const name of new Set([...one.keys(), ...two.keys()])) {
      const title = document.createElement("h3");
      title.textContent = name;
      const table = document.createElement("table");
      table.className = "lines";
      for (const [sign, text] of lines((one.get(name) ?? "").split("\n"), (two.get(name) ?? "").split("\n"))) {
        const row = table.insertRow();
        row.className = { "+": "added", "-": "gone" }[sign] ?? "";
        row.insertCell().textContent = sign;
        row.insertCell().textContent = text;
      }
      shown.append(title, table);
    }
    if (!shown.childElementCount) shown.textContent = "Neither run has written anything.";
  };
  if (runs.length > 1) {
    picker.hidden = false;
    before.selectedIndex = 1;
    picker.addEventListener("change", compare);
    compare();
  } else shown.textContent = "There are no two runs yet.";
}
