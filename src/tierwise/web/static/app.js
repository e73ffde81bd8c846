"use strict";
// What came with requests is only ever put in as text.

// A page that answers a form is asked for by its address when it is loaded again: sent anew, the form would
// make another key.
history.replaceState(history.state, "", location.href);

(function theme() {
  const button = document.getElementById("theme");
  if (!button) return;
  const order = ["system", "light", "dark"];
  const show = () => { button.textContent = "Theme: " + (document.documentElement.dataset.theme || "system"); };
  button.hidden = false;
  show();
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "system";
    const next = order[(order.indexOf(now) + 1) % order.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try { localStorage.setItem("theme", next); } catch (error) { /* not kept */ }
    show();
  });
})();

(function menu() {
  // On a narrow screen the menu scrolls: the page's own word is brought into view.
  const word = document.querySelector(".menu [aria-current]");
  const bar = document.querySelector(".menu");
  if (word && bar.scrollWidth > bar.clientWidth) bar.scrollLeft = word.offsetLeft - bar.clientWidth / 3;
})();

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (event.defaultPrevented) return;
  if (question && !window.confirm(question)) { event.preventDefault(); return; }
  // A second click while the first is under way would make a second key.
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

(function live() {
  const table = document.getElementById("live");
  const toggle = document.getElementById("live-toggle");
  if (!table || !toggle) return;
  let on = true;
  let newest = "";
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    on = !on;
    toggle.setAttribute("aria-pressed", String(on));
    toggle.textContent = "Live: " + (on ? "on" : "off");
  });

  const count = (number) => number === null ? "–" : number.toLocaleString("en-US");
  const duration = (us) => {
    if (us === null) return "–";
    if (us < 1000) return us + " µs";
    if (us < 10000) return (us / 1000).toFixed(1) + " ms";
    if (us < 1000000) return Math.round(us / 1000) + " ms";
    if (us < 120000000) return (us / 1e6).toFixed(2) + " s";
    return Math.floor(us / 6e7) + " min " + Math.floor(us / 1e6 % 60) + " s";
  };
  const weights = { ok: "good", cached: "good", running: "note", cancelled: "warn" };

  function cell(row, content, number) {
    const made = row.insertCell();
    if (number) made.className = "num";
    if (content instanceof Node) made.append(content); else made.textContent = content;
    return made;
  }

  // Text on one line; what does not fit is in its title.
  function one(row, text) {
    const made = cell(row, text);
    made.className = "one";
    made.title = text;
  }

  function line(body, call) {
    const row = body.insertRow();
    const at = document.createElement("time");
    const instant = new Date(call.at_us / 1000).toISOString();
    at.dateTime = instant;
    at.title = instant.slice(0, 19).replace("T", " ");
    at.textContent = at.title.slice(5);
    cell(row, at);
    const link = document.createElement("a");
    link.className = "id";
    link.href = "/requests/" + encodeURIComponent(call.exchange);
    link.title = call.exchange;
    link.textContent = "…" + call.exchange.slice(-8);
    cell(row, link);
    const badge = document.createElement("span");
    badge.className = "badge " + (weights[call.outcome] || "bad");
    badge.textContent = call.outcome;
    const outcome = cell(row, badge);
    outcome.className = "one";
    if (call.error) {
      const why = document.createElement("span");
      why.className = "dim";
      why.title = why.textContent = call.error;
      outcome.append(" ", why);
    }
    cell(row, call.cost_usd, true);
    one(row, call.task || "–");
    one(row, call.tier || call.model);
    cell(row, duration(call.total_us), true);
    cell(row, duration(call.ttft_us), true);
    cell(row, count(call.input), true);
    cell(row, count(call.cache_read), true);
    cell(row, count(call.output), true);
    one(row, call.key_name || call.key);
  }

  const say = (words) => { if (toggle.textContent !== words) toggle.textContent = words; };

  async function renew() {
    if (!on || document.hidden || table.contains(document.activeElement)) return;
    let reply, text;
    try {
      reply = await fetch("/api/v1/requests?limit=12", { headers: { accept: "application/json" } });
      text = await reply.text();
    } catch (error) {
      say("Live: no answer from the gateway");
      return;
    }
    if (!on) return;
    if (reply.status === 401) { say("Live: session ended, reload"); on = false; return; }
    if (!reply.ok) { say("Live: the gateway cannot tell just now"); return; }
    say("Live: on");
    if (text === newest || table.contains(document.activeElement)) return;
    newest = text;
    const lines = JSON.parse(text).lines;
    const body = document.createElement("tbody");
    for (const call of lines) line(body, call);
    table.tBodies[0].replaceWith(body);
    if (lines.length) document.getElementById("live-empty").hidden = true;
    document.getElementById("live-lines").hidden = !lines.length;
  }

  // The next look begins when the one before is answered: a slow gateway is not asked twice at once.
  (function again() { setTimeout(() => renew().finally(again), 3000); })();
})();
