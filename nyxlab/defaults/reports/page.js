"use strict";
for (const element of document.querySelectorAll("[data-filters], [data-copy]")) element.hidden = false;

for (const bar of document.querySelectorAll("[data-filters]")) {
  const cards = [...bar.parentElement.querySelectorAll(".finding")];
  const fold = bar.parentElement.querySelector("[data-fold]");
  const select = bar.querySelector("select");
  const buttons = [...bar.querySelectorAll("button")];
  const apply = () => {
    const wanted = new Set(buttons.filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.dataset.value));
    for (const card of cards) {
      card.hidden = !wanted.has(card.dataset.severity) || (select.value && card.dataset.category !== select.value);
    }
    const left = cards.filter((card) => !card.hidden).length;
    bar.querySelector("[data-left]").textContent = `${left} of ${cards.length} shown`;
    if (fold) {
      const inside = [...fold.querySelectorAll(".finding")].filter((card) => !card.hidden).length;
      fold.hidden = inside === 0;
      if (inside && left === inside) fold.open = true;
    }
  };
  bar.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    apply();
  });
  select.addEventListener("change", apply);
  apply();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const text = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      text.closest("details").open = true;
      getSelection().selectAllChildren(text);
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => (button.textContent = label), 2500);
  });
}

addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not(.plan)")) fold.open = true;
});
