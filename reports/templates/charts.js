// Draws the charts of the load part. Vega comes compressed in the page itself; each of its scripts runs only if the
// page's policy knows its hash, and none may make programs out of text: expressions are interpreted (ast).
(async () => {
  "use strict";
  const note = document.getElementById("charts-note");
  const tables = document.querySelectorAll("details.numbers");
  const fold = (open) => tables.forEach((t) => { t.open = open; });

  const inflate = async (line) => {
    const bytes = Uint8Array.from(atob(line), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };

  // A tooltip of our own: the one of Vega would need styles that the policy forbids.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const tooltip = (_, event, __, value) => {
    tip.hidden = value === null || value === undefined || value === "";
    if (tip.hidden) return;
    tip.textContent = typeof value === "object" ? Object.entries(value).map(([k, v]) => k + ": " + v).join("\n") : value;
    tip.style.left = Math.min(event.pageX + 12, document.documentElement.clientWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = event.pageY + 16 + "px";
  };

  try {
    fold(false);
    for (const line of document.getElementById("vega").textContent.trim().split("\n")) {
      const script = document.createElement("script");
      script.textContent = await inflate(line);
      document.head.append(script);
    }
    document.querySelector("main").append(tip);
    const { config, charts } = JSON.parse(document.getElementById("drawings").textContent);
    for (const [id, spec] of Object.entries(charts)) {
      const place = document.querySelector("#" + id + " .vega");
      place.parentElement.hidden = false;
      await vegaEmbed(place, spec, { mode: "vega-lite", config, ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip });
      place.querySelector("svg").setAttribute("aria-hidden", "true");
    }
    note.hidden = true;
    document.documentElement.dataset.charts = "drawn";
  } catch (e) {
    fold(true);
    note.textContent = "The charts could not be drawn here (" + e + "). The tables have the same numbers.";
    document.documentElement.dataset.charts = "failed";
  }
})();
