/* Renews live parts, draws charts, asks before acts, copies commands. Every page works without it. */
"use strict";
(() => {
  const STALE_MS = 15000, POLL_MS = 5000, CHART_MS = 30000;

  // --- Live parts -----------------------------------------------------------------------------
  // An element that changed replaces the one with its id: what somebody has opened, selected or
  // focused elsewhere stays.
  const raw = new WeakMap();  // As it came: what this script adds to it is no difference.
  const parts = new Set();

  function replace(html) {
    const next = document.createElement("template");
    next.innerHTML = html;
    for (const fresh of [...next.content.children]) {
      const old = fresh.id && document.getElementById(fresh.id);
      if (!old) continue;
      parts.add(fresh.id);
      if ((raw.get(old) ?? old.outerHTML) === fresh.outerHTML) continue;
      // Somebody presses a button: it must be there still when it is let go.
      if (old.querySelector(":active")) continue;
      const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
      put(old, fresh);
      if (focused) document.getElementById(focused)?.focus();
      if (fresh.dataset.title) say(fresh.dataset.title);
    }
  }

  // The verdict is the title of a tab in the background, and is read out when it changes.
  function say(title) {
    const line = document.getElementById("said"), text = title.replace(/ · trackrelay$/, "");
    document.title = title;
    if (line && line.textContent !== text) line.textContent = text;
  }

  function put(old, fresh) {
    const open = [...old.querySelectorAll("details[open][id]")].map((each) => each.id);
    raw.set(fresh, fresh.outerHTML);
    old.replaceWith(fresh);
    open.forEach((id) => { const each = document.getElementById(id); if (each) each.open = true; });
    prepare(fresh);
  }

  function prepare(element) {
    if (window.htmx) window.htmx.process(element);
    element.querySelectorAll("[data-copy]").forEach(copyable);
    if (element.matches("[data-copy]")) copyable(element);
  }

  function startLive(place) {
    let last = Date.now();
    const alive = () => { last = Date.now(); stale(false); };
    if (place.dataset.mode === "poll") {
      const ask = async () => {
        try {
          const answer = await fetch(place.dataset.live + (place.dataset.live.includes("?") ? "&" : "?") + "once=1", { headers: { "Accept": "text/html" }, redirect: "error" });
          if (answer.ok) { replace(await answer.text()); alive(); }
        } catch (error) { /* The page says that it is not live. */ }
        setTimeout(ask, POLL_MS);
      };
      setTimeout(ask, POLL_MS);
    } else {
      const open = () => {
        const source = new EventSource(place.dataset.live);
        source.addEventListener("part", (event) => { alive(); replace(event.data); });
        source.addEventListener("alive", alive);
        // After an answer that is no stream a browser does not try again.
        source.addEventListener("error", () => {
          if (source.readyState === EventSource.CLOSED) setTimeout(askAgain, POLL_MS);
        });
      };
      const askAgain = async () => {
        try {
          const answer = await fetch(place.dataset.live + (place.dataset.live.includes("?") ? "&" : "?") + "once=1", { redirect: "manual" });
          // The session has ended: the page leads to the sign-in form.
          if (answer.type === "opaqueredirect") { window.location.reload(); return; }
        } catch (error) { /* The page says that it is not live. */ }
        open();
      };
      open();
    }
    setInterval(() => { if (Date.now() - last > STALE_MS) stale(true, last); }, 1000);
  }

  function stale(is, since) {
    const line = document.getElementById("stale");
    if (!line || line.hidden !== is) return;
    line.hidden = !is;
    document.body.classList.toggle("is-stale", is);
    parts.forEach((id) => document.getElementById(id)?.classList.toggle("old", is));
    if (is) {
      line.textContent = `Not live since ${new Date(since).toISOString().slice(11, 19)} UTC: the console does not answer. What you see may be out of date.`;
      document.title = "Not live · trackrelay";
    }
  }

  // --- Charts ---------------------------------------------------------------------------------
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const STEPS_S = [.01, .05, .1, .25, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000, 864000];
  const TONES = { good: "--good", warn: "--warn", bad: "--bad", fill: "--fill", dim: "--dim" };

  function duration(seconds) {
    if (seconds < 1) return seconds ? `${Math.round(seconds * 1000)} ms` : "0";
    const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const [size, name] = units.find(([each]) => seconds >= each);
    return `${Math.round(10 * seconds / size) / 10} ${name}`;
  }

  async function draw(figure) {
    const plot = figure.querySelector(".plot");
    let data;
    try {
      const answer = await fetch(figure.dataset.chart, { redirect: "error" });
      if (!answer.ok) throw new Error(answer.statusText);
      data = await answer.json();
    } catch (error) {
      if (!figure.chart) plot.textContent = "The numbers cannot be read.";
      return;
    }
    const rows = [data.times, ...data.series.map((each) => each.values)];
    if (figure.chart) { figure.chart.setData(rows); return; }
    if (!window.uPlot) return;
    plot.textContent = "";
    const bars = figure.dataset.kind === "bars" ? uPlot.paths.bars({ size: [0.7, 40] }) : undefined;
    const axis = { stroke: () => colour("--dim"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const shown = (value) => value === null || value === undefined ? "–" : data.unit === "s" ? duration(value) : value.toLocaleString("en");
    const compact = new Intl.NumberFormat("en", { notation: "compact" });
    const mark = (value) => data.unit === "s" ? duration(value) : Number.isInteger(value) ? compact.format(value) : "";
    const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
    const clock = uPlot.fmtDate(data.step >= 86400 ? "{YYYY}-{MM}-{DD}" : "{HH}:{mm}"), full = uPlot.fmtDate("{YYYY}-{MM}-{DD} {HH}:{mm} UTC");
    figure.chart = new uPlot({
      tzDate: utc,
      width: plot.clientWidth, height: 150, legend: { live: true }, cursor: { y: false },
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.1] } },
      axes: [{ ...axis, space: 70, size: 26, values: (_, marks) => marks.map((each) => clock(utc(each))) }, { ...axis, size: 50, incrs: data.unit === "s" ? STEPS_S : undefined, values: (_, marks) => marks.map(mark) }],
      series: [{ label: "at", value: (_, seconds) => seconds === null || seconds === undefined ? "–" : full(utc(seconds)) }, ...data.series.map((each) => ({
        label: each.label, paths: bars, points: bars ? { show: false } : { show: true, size: 4, width: 0, fill: () => colour(TONES[each.tone] || "--fill") }, width: bars ? 0 : 1.5,
        stroke: () => colour(TONES[each.tone] || "--fill"), fill: bars ? () => colour(TONES[each.tone] || "--fill") : undefined,
        value: (_, value) => shown(value),
      }))],
    }, rows, plot);
    plot.style.height = "auto";
    new ResizeObserver(() => figure.chart.setSize({ width: plot.clientWidth, height: 150 })).observe(plot);
  }

  function startChart(figure) {
    draw(figure);
    setInterval(() => { if (!document.hidden) draw(figure); }, CHART_MS);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => figure.chart && figure.chart.redraw());
  }

  // --- Acts and commands ----------------------------------------------------------------------
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !window.confirm(question)) { event.preventDefault(); return; }
    // A second click sends nothing twice.
    setTimeout(() => event.target.querySelectorAll("button").forEach((each) => { each.disabled = true; }), 0);
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("form button[disabled]:not([data-off])").forEach((each) => { each.disabled = false; }));

  function copyable(code) {
    if (!navigator.clipboard || code.dataset.ready) return;
    code.dataset.ready = "1";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy the command ${code.textContent}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    code.after(button);
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-live]").forEach(startLive);
    document.querySelectorAll("[data-chart]").forEach(startChart);
    document.querySelectorAll("[data-copy]").forEach(copyable);
    const current = document.querySelector(".top nav [aria-current]");
    if (current) current.parentElement.parentElement.parentElement.scrollLeft = current.offsetLeft - 40;
  });
})();
