"use strict";
(async () => {
  const places = [...document.querySelectorAll("[data-figure]")];
  try {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    // plotly.js brings a style sheet for maps, which no policy of hashes can foresee; nothing here is a map.
    const head = document.head;
    head.appendChild = (node) => (node.nodeName === "STYLE" && node.textContent ? node : Node.prototype.appendChild.call(head, node));
    head.append(script);
    delete head.appendChild;
    script.remove();
  } catch (error) {
    for (const place of places) place.textContent = "This browser cannot draw the chart; its numbers are in the table beside it.";
    return;
  }
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dress = (figure) => {
    const layout = structuredClone(figure.layout ?? {});
    const [ink, grid, paper] = [colour("--ink-2"), colour("--rule"), colour("--paper")];
    delete layout.width;
    layout.autosize = true;
    layout.height ??= 360;
    if (!layout.title && layout.margin) {  // the page has the caption
      layout.height -= Math.max(0, layout.margin.t - 12);
      layout.margin = { ...layout.margin, t: Math.min(12, layout.margin.t ?? 12) };
    }
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.font = { ...layout.font, color: ink, family: "system-ui, sans-serif" };
    layout.hoverlabel = { ...layout.hoverlabel, bgcolor: paper, bordercolor: grid, font: { color: ink } };
    layout.legend = { ...layout.legend, bgcolor: "rgba(0,0,0,0)" };
    for (const axis of new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))])) {
      const quiet = layout[axis]?.gridcolor === "rgba(0,0,0,0)" ? { zerolinecolor: grid, linecolor: grid } : { gridcolor: grid, zerolinecolor: grid, linecolor: grid };
      layout[axis] = { ...layout[axis], ...quiet };
    }
    return layout;
  };
  const drawn = [];
  for (const place of places) {
    const figure = JSON.parse(document.getElementById(`figure-${place.dataset.figure}`).textContent);
    place.textContent = "";
    await Plotly.newPlot(place, figure.data, dress(figure), { displayModeBar: false, responsive: true });
    drawn.push([place, figure]);
  }
  const redraw = () => drawn.forEach(([place, figure]) => Plotly.react(place, figure.data, dress(figure)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("print").addEventListener("change", redraw);
  document.documentElement.dataset.charts = String(drawn.length);
})();
