// The status page: reads the API, draws, and redraws when the event stream says
// that something moved. It writes nothing. All text goes in as text, never as
// HTML.
"use strict";

const MAX_HOSTS = 100;        // drawn; beyond it a picture tells nothing
const MAX_TASK_PAGES = 5;     // of 1000 tasks each
const MAX_EVENTS = 120;       // kept on the page
const SOON_MS = 250;          // between two refreshes at least
const POLL_MS = 4000;         // refresh though nothing was heard
const LATE_MS = 5000;         // an answer older than this is called late
const LIVE = "PROVISIONING,PENDING,ACTIVATING,RUNNING,DEACTIVATING,STOPPING,DEPROVISIONING";

const $ = (id) => document.getElementById(id);
const model = { status: null, hosts: [], services: [], tasks: [], more: {}, at: 0, failed: "", listeners: [], rates: new Map(), entries: [] };

// make builds an element: make("li", {class: "x"}, "text", child, ...).
function make(tag, attrs = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

const setText = (el, text) => { if (el.textContent !== text) el.textContent = text; };
const setAttr = (el, name, value) => {
  if (value === null || value === undefined || value === false) el.removeAttribute(name);
  else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value);
};

// keyed makes the children of parent follow items: one element a key, in order,
// kept while its key is there, so that focus and animations live on.
function keyed(parent, items, key, create, update) {
  const had = new Map([...parent.children].map((el) => [el.dataset.key, el]));
  const first = !parent.dataset.drawn;
  parent.dataset.drawn = "yes";
  let place = parent.firstElementChild;
  for (const item of items) {
    const k = key(item);
    let el = had.get(k);
    had.delete(k);
    if (!el) {
      el = create(item);
      el.dataset.key = k;
      if (!first) el.classList.add("new");
    }
    update(el, item);
    if (el === place) place = place.nextElementSibling;
    else parent.insertBefore(el, place);
  }
  for (const el of had.values()) el.remove();
}

const plural = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} days`;
}

const short = (id) => id.slice(0, 8);

// ---- reading

async function read(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error ? body.error.message : `${path}: ${answer.status}`);
  return body;
}

async function readTasks() {
  let tasks = [], next = "", pages = 0;
  do {
    const page = await read(`v1/tasks?limit=1000&status=${LIVE}` + (next ? `&next=${encodeURIComponent(next)}` : ""));
    tasks = tasks.concat(page.tasks);
    next = page.next || "";
  } while (next && ++pages < MAX_TASK_PAGES);
  return { tasks, more: next !== "" };
}

let rating = false;

// refreshRoutes asks who gets what share now. The leader alone knows, and may be away: nothing else waits for it.
async function refreshRoutes() {
  if (rating) return;
  rating = true;
  try {
    model.listeners = (await read("v1/listeners?limit=100")).listeners;
    model.entries = (await read("v1/entry-addresses?limit=100")).entryAddresses;
    drawEntries();
    const rates = model.listeners.length ? (await read("v1/traffic")).targetGroups : [];
    model.rates = new Map(rates.map((g) => [g.targetGroup, g]));
  } catch {
    model.rates = new Map(); // what was heard before is not now
  } finally {
    rating = false;
    drawRoutes();
  }
}

let reading = false, again = false, soon = 0;

function refreshSoon() {
  if (soon) return;
  soon = setTimeout(() => { soon = 0; refresh(); }, SOON_MS);
}

async function refresh() {
  if (reading) { again = true; return; }
  reading = true;
  try {
    refreshRoutes();
    const [status, hosts, services, tasks] = await Promise.all([
      read("v1/status"), read("v1/hosts?limit=1000"), read("v1/services?limit=200"), readTasks()]);
    Object.assign(model, {
      status, hosts: hosts.hosts, services: services.services, tasks: tasks.tasks, at: Date.now(), failed: "",
      more: { hosts: Boolean(hosts.next), services: Boolean(services.next), tasks: tasks.more },
    });
    draw();
  } catch (error) {
    model.failed = error.message;
    drawFreshness();
  } finally {
    reading = false;
    if (again) { again = false; refreshSoon(); }
  }
}

// ---- drawing

function draw() {
  drawTop();
  drawFreshness();
  drawTiles();
  drawHosts();
  drawServices();
}

function drawTop() {
  const s = model.status, by = s.answeredBy;
  setText($("fleet"), s.fleet.name || "");
  document.title = `Skein${s.fleet.name ? " " + s.fleet.name : ""}: ${s.tasks.running} of ${s.tasks.desired} tasks running`;
  setText($("answered"), `answered by ${by.name}, a ${by.role}${by.zone ? " in zone " + by.zone : ""} · log index ${s.index.toLocaleString("en")}`);
}

// drawFreshness says how much to believe: live, late, cut off, or no answer.
function drawFreshness() {
  const s = model.status, banners = [];
  let is = "live", text = "live";
  const age = s ? Date.now() - model.at + Math.max(0, s.staleMs) : 0;
  if (model.failed) {
    is = "gone"; text = "no answer";
    banners.push(["bad", `This agent does not answer (${model.failed}).` + (s ? ` What you see is ${ago(Date.now() - model.at)} old.` : "")]);
  } else if (s && s.cutOff) {
    is = "gone"; text = "cut off";
    const since = s.aloneSince ? ` since ${new Date(s.aloneSince).toLocaleTimeString()}` : "";
    banners.push(["bad", `${s.answeredBy.name} is cut off from the rest of the fleet${since}. It shows what it last heard and its own tasks, which keep running.`]);
  } else if (s && s.staleMs >= LATE_MS) {
    is = "late"; text = `${ago(age)} behind`;
    banners.push(["", `What you see is ${ago(age)} old: this host has not heard the leader since.`]);
  } else if (!streaming) {
    is = "late"; text = "reconnecting";
  }
  const notes = s && !model.failed ? s.notes.slice(s.cutOff ? 1 : 0) : [];
  const calm = s && s.leader && s.hosts.silent + s.hosts.lost === 0 && !model.hosts.some((h) => h.clone);
  if (notes.length) banners.push([calm ? "calm" : "", notes.map((n) => n.charAt(0).toUpperCase() + n.slice(1) + ".").join(" ")]);
  setAttr($("live"), "data-is", is);
  setText($("live-text"), text);
  setAttr(document.body, "data-stale", is === "gone");
  keyed($("banners"), banners, (b) => "banner " + b[0], () => make("p"), (el, b) => { el.className = "banner " + b[0]; setText(el, b[1]); });
}

function tile(name, big, of, words, is) {
  const el = document.querySelector(`[data-tile="${name}"]`), b = el.querySelector("b");
  if (b.textContent !== big + of) b.replaceChildren(big, of ? make("small", {}, of) : "");
  setText(el.querySelector("span"), words);
  setAttr(el, "data-is", is);
}

function drawTiles() {
  const s = model.status, h = s.hosts, t = s.tasks;
  const away = h.silent + h.lost;
  const hostWords = [away && `${away} out of reach`, h.joining && `${h.joining} joining`, h.cordoned && `${h.cordoned} cordoned`].filter(Boolean);
  tile("hosts", String(h.ready), ` of ${h.total} ready`, hostWords.join(", ") || zoneWords(), away ? "bad" : null);
  const taskWords = [t.pending && `${t.pending} starting`, t.stopping && `${t.stopping} stopping`, t.unreachable && `${t.unreachable} out of reach`, t.standalone && `${t.standalone} standalone`].filter(Boolean);
  tile("tasks", String(t.running), ` of ${t.desired} running`, taskWords.join(", ") || (t.running ? "all where they should be" : "none yet"), t.running < t.desired ? "warn" : null);
  const unsteady = s.services.total - s.services.steady;
  tile("services", String(s.services.steady), ` of ${s.services.total} steady`, unsteady ? `${unsteady} changing` : s.services.total ? "nothing left to do" : "none yet", unsteady ? "warn" : null);
  const v = s.voters;
  tile("leader", s.leader ? s.leader.name || short(s.leader.id) : "none", "",
    `voters ${v.summary}${v.changing ? `, ${v.changing} changing` : ""}`, !s.leader || v.quorumLost ? "bad" : v.alive < v.voting ? "warn" : null);
}

const zoneWords = () => `in ${plural(new Set(model.hosts.map((h) => h.zone)).size, "zone")}`;

// is sorts a task into one of the six marks.
function is(task) {
  if (task.unreachable) return "unreachable";
  if (task.desiredStatus === "STOPPED") return "stopping";
  if (task.lastStatus !== "RUNNING") return "pending";
  if (task.healthStatus === "HEALTHY") return "healthy";
  return task.healthStatus === "UNHEALTHY" ? "unhealthy" : "running";
}

const marks = { healthy: "healthy", running: "running", pending: "starting", unhealthy: "unhealthy", stopping: "stopping", unreachable: "out of reach" };
const taskName = (t) => t.service || t.taskDefinition.split(":")[0];
const taskRevision = (t) => (t.revision ? t.revision.split("/").pop() : "");

function chips(list, tasks) {
  tasks.sort((a, b) => taskName(a).localeCompare(taskName(b)) || a.taskId.localeCompare(b.taskId));
  list.classList.toggle("dense", tasks.length > 16 || document.body.classList.contains("many"));
  keyed(list, tasks, (t) => t.taskId,
    (t) => make("button", { class: "chip", type: "button", onclick: () => showTask(t.taskId) },
      make("i", { class: "mark", "aria-hidden": "true" }), make("span", { class: "name" }), make("span", { class: "rev" })),
    (el, t) => {
      const mark = is(t);
      setAttr(el, "data-is", mark);
      el.firstChild.className = "mark " + mark;
      setText(el.children[1], taskName(t));
      setText(el.children[2], taskRevision(t) && "r" + taskRevision(t));
      const label = `${taskName(t)}${taskRevision(t) ? " revision " + taskRevision(t) : ""}, ${marks[mark]} (${t.lastStatus}), task ${short(t.taskId)}`;
      setAttr(el, "aria-label", label);
      setAttr(el, "title", label);
    });
}

const needsEye = (h) => (h.state === "ready" && !h.cordon && !h.clone ? 1 : 0);

function drawHosts() {
  const byHost = new Map(), waiting = [];
  for (const t of model.tasks) {
    if (!t.host) { waiting.push(t); continue; }
    if (!byHost.has(t.host.id)) byHost.set(t.host.id, []);
    byHost.get(t.host.id).push(t);
  }
  const shown = [...model.hosts].sort((a, b) => needsEye(a) - needsEye(b)).slice(0, MAX_HOSTS);
  const zones = new Map();
  for (const h of shown) {
    if (!zones.has(h.zone)) zones.set(h.zone, []);
    zones.get(h.zone).push(h);
  }
  const many = shown.length > 24;
  document.body.classList.toggle("many", many);
  keyed($("zones"), [...zones].sort(([a], [b]) => a.localeCompare(b)), ([zone]) => "zone " + zone,
    () => make("section", { class: "zone" }, make("h3", {}, make("b"), make("span")), make("div", { class: "hosts" })),
    (el, [zone, hosts]) => {
      hosts.sort((a, b) => (many ? needsEye(a) - needsEye(b) : 0) || a.name.localeCompare(b.name, "en", { numeric: true }));
      setText(el.querySelector("b"), `Zone ${zone || "?"}`);
      setText(el.querySelector("span"), plural(hosts.reduce((n, h) => n + (byHost.get(h.id) || []).length, 0), "task"));
      keyed(el.lastElementChild, hosts, (h) => h.id, newHost, (card, h) => drawHost(card, h, byHost.get(h.id) || []));
    });
  drawWaiting(waiting);
  const notes = [];
  const total = model.status.hosts.total;
  if (shown.length < model.hosts.length || model.more.hosts) notes.push(`Drawn are ${shown.length} of ${plural(total, "host")}, those that need an eye first: a picture of more tells nothing. "skein hosts" lists them all.`);
  if (model.more.tasks) notes.push(`Drawn are the first ${plural(model.tasks.length, "task")}.`);
  $("map-note").hidden = notes.length === 0;
  setText($("map-note"), notes.join(" "));
}

function newHost() {
  const meter = (name) => make("div", { class: "meter", "data-meter": name }, make("div", {}, make("span", {}, name), make("span")), make("i"));
  return make("article", { class: "host" },
    make("header", {}, make("span", { class: "dot", "aria-hidden": "true" }), make("h4"), make("span", { class: "badges" }), make("span", { class: "state" })),
    make("div", { class: "meters" }, meter("cpu"), meter("mem")),
    make("div", { class: "chips" }), make("p", { class: "none" }, "no tasks"));
}

function drawHost(card, h, tasks) {
  setAttr(card, "data-state", h.state);
  setAttr(card, "data-cordoned", h.cordon ? "yes" : null);
  setAttr(card, "id", "host-" + h.name);
  const title = card.querySelector("h4");
  if (title.textContent !== h.name || title.dataset.url !== (h.statusUrl || "")) {
    title.dataset.url = h.statusUrl || "";
    title.replaceChildren(h.statusUrl ? make("a", { href: h.statusUrl, title: "this fleet as " + h.name + " sees it" }, h.name) : h.name);
  }
  const here = h.id === model.status.answeredBy.id;
  const badges = [here && ["this page", "badge plain"], h.leader && ["leader", "badge"], !h.leader && h.role === "voter" && ["voter", "badge plain"], h.voterPhase && h.voterPhase !== "voting" && [h.voterPhase, "badge plain"],
    h.cordon && ["cordoned", "badge warn"], h.draining && ["draining", "badge warn"], h.clone && ["cloned disk?", "badge warn"], h.agentTooOld && ["agent too old", "badge warn"], h.report && h.report.starved && ["starved", "badge warn"]].filter(Boolean);
  const place = card.querySelector(".badges");
  if (place.dataset.of !== badges.join()) {
    place.dataset.of = badges.join();
    place.replaceChildren(...badges.flatMap(([text, cls]) => [make("span", { class: cls }, text), " "]));
  }
  const since = h.stateSince && h.state !== "ready" ? ` ${ago(Date.now() - Date.parse(h.stateSince))}` : "";
  setText(card.querySelector(".state"), h.state === "ready" ? (h.gossip === "failed" ? "not heard" : "") : h.state === "unknown" ? "heard by gossip only" : h.state + since);
  setMeter(card, "cpu", h.reserved.cpu, h.capacity.cpu, 1024, "cores");
  setMeter(card, "mem", h.reserved.memory, h.capacity.memory, 1024, "GiB");
  card.classList.toggle("self", here);
  chips(card.querySelector(".chips"), tasks);
  card.querySelector(".none").hidden = tasks.length > 0;
}

function setMeter(card, name, used, total, per, unit) {
  const el = card.querySelector(`[data-meter="${name}"]`), part = total ? Math.min(100, (100 * used) / total) : 0;
  const n = (x) => +(x / per).toFixed(1);
  setText(el.firstChild.lastChild, total ? `${n(used)} of ${n(total)} ${unit}` : "?");
  el.lastChild.style.setProperty("--fill", part + "%");
  setAttr(el, "data-full", part > 90 ? "yes" : null);
  setAttr(el, "title", `${n(used)} of ${n(total)} ${unit} reserved by tasks`);
}

function drawWaiting(tasks) {
  $("waiting").hidden = tasks.length === 0;
  chips($("waiting-chips"), tasks.slice(0, 60));
  const reasons = new Map();
  for (const t of tasks) if (t.conditions) reasons.set(waitWords(t.conditions[0]), true);
  setText($("waiting-why"), [...reasons.keys()].slice(0, 3).join(" · ") || (tasks.length > 60 ? `and ${plural(tasks.length - 60, "more", "more")}` : ""));
}

// every condition that stands, most telling first
const allWaits = (conditions) => (conditions || []).map(waitWords).join("; ");

function waitWords(w) {
  const counts = (w.counts || []).map((c) => `${c.name}: ${c.count}`).join(", ");
  return w.message + (counts && !w.message.includes(counts) ? ` (${counts})` : "");
}

function drawServices() {
  $("no-services").hidden = model.services.length > 0;
  keyed($("services"), model.services, (s) => s.serviceName,
    (s) => make("button", { class: "service", type: "button", onclick: () => showService(s.serviceName) },
      make("span", { class: "row" }, make("span", { class: "title" }), make("span", { class: "rev" }), make("span", { class: "count" })),
      make("span", { class: "bar", "aria-hidden": "true" }, make("i", { class: "run" }), make("i", { class: "old" }), make("i", { class: "pend" }), make("i", { class: "out" })),
      make("span", { class: "words" }), make("span", { class: "why" })),
    drawService);
}

function drawService(el, s) {
  setAttr(el, "data-status", s.status);
  setText(el.querySelector(".title"), s.serviceName);
  setText(el.querySelector(".rev"), `r${s.revision.split("/").pop()} · ${s.taskDefinition}`);
  const count = el.querySelector(".count");
  if (count.textContent !== `${s.runningCount} of ${s.desiredCount}`) count.replaceChildren(String(s.runningCount), make("small", {}, ` of ${s.desiredCount}`));
  const all = Math.max(s.desiredCount, s.runningCount + s.pendingCount + s.unreachableCount, 1);
  const old = Math.min(s.oldRevisionCount, s.runningCount);
  [s.runningCount - old, old, s.pendingCount, s.unreachableCount].forEach((n, i) => {
    const part = el.querySelectorAll(".bar i")[i];
    part.hidden = n === 0;
    part.style.setProperty("--part", (100 * n) / all + "%");
  });
  const words = [s.status === "DRAINING" && "being deleted", s.liveDeployment && deploymentWords(s.liveDeployment), s.healthyCount && `${s.healthyCount} healthy`, s.pendingCount && `${s.pendingCount} starting`, s.stoppingCount && `${s.stoppingCount} stopping`,
    s.unreachableCount && `${s.unreachableCount} out of reach`, s.oldRevisionCount && `${s.oldRevisionCount} of an earlier revision`,
    Object.keys(s.zones).length && "zones " + Object.entries(s.zones).sort().map(([z, n]) => `${z} ${n}`).join(", ")].filter(Boolean);
  setText(el.querySelector(".words"), words.join(" · ") || (s.steady ? "nothing to run" : "about to start"));
  const why = s.conditions ? allWaits(s.conditions) : s.failures ? `${plural(s.failures, "start")} in a row failed: ${s.lastFailure}` : "";
  el.querySelector(".why").hidden = !why;
  setText(el.querySelector(".why"), why);
}

// ---- traffic

const asked = (r) => `${r.requestsPerSecond.toFixed(1)}/s, ${(100 * r.errorShare).toFixed(1)} % errors`;

const hostName = (h) => (h ? h.name || short(h.id) : "");

// drawEntries lists the addresses that one host at a time answers for: who, since when, and why not.
function drawEntries() {
  $("entries-part").hidden = model.entries.length === 0;
  keyed($("entries"), model.entries, (e) => e.address,
    () => make("li", { class: "route" }, make("span", { class: "row" }, make("span", { class: "title" }), make("span", { class: "count" })), make("span", { class: "words" }), make("span", { class: "why" })),
    (el, e) => {
      const well = e.state === "assigned";
      setText(el.querySelector(".title"), e.address);
      setText(el.querySelector(".count"), hostName(e.holder) || "nobody");
      setText(el.querySelector(".words"), [well ? "held" : e.state, e.since && `since ${ago(Date.now() - Date.parse(e.since))}`, e.why, e.former && `open connections are relayed to ${hostName(e.former)}`].filter(Boolean).join(" · "));
      const why = e.conditions ? allWaits(e.conditions) : "";
      setText(el.querySelector(".why"), why);
      el.querySelector(".why").hidden = !why;
    });
}

// failing says which hosts do not serve a listener, and why.
const failing = (l) => (l.failingHosts ? `not served by ${l.failingHosts.map((f) => `${hostName(f.host)}: ${f.reason}`).join("; ")}${l.failingHostsCount > l.failingHosts.length ? `; nor by ${l.failingHostsCount - l.failingHosts.length} more` : ""}` : "");

// drawRoutes lists each group that a rule leads to: its share by weight, and what it is asked for now.
function drawRoutes() {
  const rows = [];
  for (const l of model.listeners) for (const r of l.rules) for (const w of (r.action.forward || {}).targetGroups || []) {
    rows.push({ key: `${r.id} ${w.targetGroup}`, rule: r.id, at: l.alias ? `${l.alias}:${l.port}` : String(l.port), group: w.targetGroup, weight: w.weight, now: model.rates.get(w.targetGroup), failing: failing(l) });
  }
  $("traffic").hidden = rows.length === 0;
  keyed($("routes"), rows.slice(0, 64), (r) => r.key,
    () => make("li", { class: "route" }, make("span", { class: "row" }, make("span", { class: "title" }), make("span", { class: "count" })), make("span", { class: "words" }), make("span", { class: "why" })),
    (el, r) => {
      setText(el.querySelector(".title"), `${r.group} at ${r.at}`);
      setText(el.querySelector(".count"), share(r.weight));
      const known = r.now && r.now.known;
      setText(el.querySelector(".words"), `${r.rule} · ${known ? asked(r.now) : "rate not known yet"}`);
      const parts = known ? (r.now.revisions || []).map((v) => `${v.revision}: ${asked(v)}`) : [];
      if (known && r.now.noTargetPerSecond) parts.push(`no task: ${r.now.noTargetPerSecond.toFixed(1)}/s`);
      if (r.failing) parts.unshift(r.failing);
      setText(el.querySelector(".why"), parts.join(" · "));
      el.querySelector(".why").hidden = parts.length === 0;
    });
}

// ---- deployments

const share = (points) => `${+(points / 100).toFixed(2)} %`;

// deploymentWords says where a deployment stands: stage, step, weights, what is left of its wait.
function deploymentWords(d) {
  const left = d.waitsUntil ? Date.parse(d.waitsUntil) - Date.now() : 0;
  const target = d.targetServiceRevision;
  return [`${d.deploymentId} ${d.strategy}`, d.lifecycleStage ? `${d.phase}: ${d.lifecycleStage}` : "pending",
    d.step && `step ${d.step} of ${d.steps}`,
    d.strategy !== "ROLLING" && `${share(target.requestedProductionTrafficWeight)} of traffic to r${target.revision.split("/").pop()}`,
    left > 0 && `${ago(left)} left`, d.pause && "paused", d.rollback && `goes back: ${d.rollback.reason}`].filter(Boolean).join(", ");
}

// deploymentFacts are the rows of a deployment in detail.
function deploymentFacts(d) {
  return facts([
    ["status", d.status + (d.statusReason ? `: ${d.statusReason}` : "")], ["now", deploymentWords(d)], ["waits for", d.waitsFor],
    ["stages", (d.stages || []).map((s) => s.lifecycleStage + (s.step ? ` ${s.step}` : "")).join(" → ")],
    ["hooks", (d.lifecycleHookDetails || []).map((h) => `${h.hookName} at ${h.lifecycleStage}: ${h.status}${h.answer ? ` (${h.answer})` : ""}`).join("; ")],
    ["warnings", (d.warnings || []).join("; ")],
    ["circuit breaker", d.deploymentCircuitBreaker && `${d.deploymentCircuitBreaker.failureCount} of ${d.deploymentCircuitBreaker.threshold} failures${d.deploymentCircuitBreaker.builtIn ? " (built in)" : ""}`],
    ["alarms", (d.alarms || []).map((a) => `${a.alarmName}: ${a.status}${a.answer ? ` (${a.answer})` : ""}`).join("; ")],
    ["began", when(d.createdAt)], ["ended", when(d.finishedAt)]]);
}

// ---- one thing at a time

function facts(rows) {
  return make("dl", { class: "facts" }, ...rows.filter(([, v]) => v !== undefined && v !== null && v !== "").flatMap(([k, v]) => [make("dt", {}, k), make("dd", {}, String(v))]));
}

function show(title, ...body) {
  setText($("detail-title"), title);
  $("detail-body").replaceChildren(...body);
  if (!$("detail").open) $("detail").showModal();
}

const when = (stamp) => (stamp ? `${new Date(stamp).toLocaleTimeString()} (${ago(Date.now() - Date.parse(stamp))} ago)` : "");
const ended = (c) => (c.exitCode === undefined ? (c.startedAt ? "ended unseen" : "never ran") : "exit code " + c.exitCode);
const container = (c) => `${c.name}: ${c.lastStatus === "STOPPED" ? ended(c) : c.lastStatus}${c.attempt > 1 ? ", attempt " + c.attempt : ""}${c.reason ? ", " + c.reason : ""}`;
const containers = (t) => (t.containers || []).map(container).join("; ");

async function showTask(id) {
  const known = model.tasks.find((t) => t.taskId === id);
  const t = await read("v1/tasks/" + encodeURIComponent(id)).catch(() => known);
  if (!t) return;
  show(`Task ${short(t.taskId)} of ${taskName(t)}`, facts([
    ["status", `${t.lastStatus}, to be ${t.desiredStatus}`], ["health", t.healthStatus], ["why waiting", allWaits(t.conditions)],
    ["why stopped", [t.stopCode, t.stoppedReason].filter(Boolean).join(": ")], ["containers", containers(t)],
    ["host", t.host && `${t.host.name || t.host.id}${t.host.zone ? ", zone " + t.host.zone : ""}${t.unreachable ? " (out of reach)" : ""}`],
    ["ports", (t.networkBindings || []).map((p) => `${p.hostPort} → ${p.containerPort}/${p.protocol}`).join(", ")],
    ["definition", t.taskDefinition], ["revision", t.revision], ["started by", t.startedBy],
    ["created", when(t.createdAt)], ["running", when(t.startedAt)], ["stopped", when(t.stoppedAt)], ["id", t.taskId],
    ["told by", t.source === "state" ? "" : t.source === "host" ? "the host itself" : "memory: this host is cut off"]]));
}

async function showService(name) {
  const s = model.services.find((x) => x.serviceName === name);
  if (!s) return;
  const stopped = make("div", { class: "stopped" }), rollout = make("div");
  show(`Service ${name}`, facts([
    ["tasks", `${s.runningCount} running, ${s.pendingCount} starting, ${s.stoppingCount} stopping; ${s.desiredCount} wanted`],
    ["why waiting", allWaits(s.conditions)], ["last failure", s.lastFailure], ["tries again", s.notBefore && when(s.notBefore)],
    ["revision", `${s.revision} of ${s.taskDefinition}`], ["images", (s.containerImages || []).map((i) => i.image + (i.imageDigest ? " @" + i.imageDigest.slice(7, 19) : " (not pinned)")).join(", ")],
    ["update bounds", `${s.deploymentConfiguration.minimumHealthyPercent} % to ${s.deploymentConfiguration.maximumPercent} %`],
    ["cut off", s.onDisconnect.stopAfterSeconds ? `hosts stop its tasks after ${s.onDisconnect.stopAfterSeconds} s` : "hosts keep its tasks"],
    ["created", when(s.createdAt)], ["updated", when(s.updatedAt)]]), rollout, stopped);
  const newest = await read(`v1/deployments/${encodeURIComponent(name)}`).catch(() => null);
  if (newest) rollout.append(make("h3", {}, `Deployment ${newest.deploymentId}`), deploymentFacts(newest));
  const list = await read(`v1/tasks?limit=1000&status=STOPPED&service=${encodeURIComponent(name)}`).catch(() => ({ tasks: [] }));
  const last = list.tasks.sort((a, b) => (b.stoppedAt || "").localeCompare(a.stoppedAt || "")).slice(0, 8);
  if (last.length) stopped.append(make("h3", {}, "Stopped lately"), make("ul", {}, ...last.map((t) =>
    make("li", {}, `${short(t.taskId)}, ${when(t.stoppedAt)}: ${[t.stopCode, t.stoppedReason, ending(t)].filter(Boolean).join("; ")}`))));
}

// ---- events

let events = [], streaming = false, source = null, retry = 0;

const tone = (code) => (/silent|lost|failed|expired|refused|cloned|forgotten|unhealthy/.test(code) ? "bad" : null);

function drawEvents() {
  $("no-events").hidden = events.length > 0;
  keyed($("events"), events, (e) => String(e.seq),
    (e) => make("li", { "data-tone": tone(e.code) }, make("time", { datetime: e.at, title: e.at ? new Date(e.at).toLocaleString() : "" }), make("div", {}, make("span", { class: "what" }), " ", make("span", { class: "by" }))),
    (el, e) => {
      setText(el.firstChild, e.at ? ago(Date.now() - Date.parse(e.at)) : "");
      setText(el.querySelector(".what"), e.message || `${e.code} ${e.subject}`);
      setText(el.querySelector(".by"), e.by);
    });
}

function addEvents(list) {
  const known = new Set(events.map((e) => e.seq));
  events = list.filter((e) => !known.has(e.seq)).concat(events).sort((a, b) => b.seq - a.seq).slice(0, MAX_EVENTS);
  drawEvents();
}

function listen() {
  clearTimeout(retry);
  if (source) source.close();
  const last = events.length ? events[0].seq : 0;
  source = new EventSource("v1/events/stream" + (last ? `?after=${last}` : ""));
  source.onopen = () => { streaming = true; drawFreshness(); };
  source.onerror = () => {
    streaming = false;
    drawFreshness();
    // A browser tries again by itself unless the answer was no stream at all.
    if (source.readyState === EventSource.CLOSED) retry = setTimeout(listen, 3000);
  };
  source.addEventListener("event", (e) => { addEvents([JSON.parse(e.data)]); refreshSoon(); });
  source.addEventListener("state", refreshSoon);
  source.addEventListener("cut-off", refreshSoon);
  source.addEventListener("gap", () => read("v1/events?limit=100").then((d) => addEvents(d.events)).catch(() => {}));
}

async function start() {
  await refresh();
  await read("v1/events?limit=60").then((d) => addEvents(d.events)).catch(() => drawEvents());
  listen();
  setInterval(() => { if (!document.hidden) refreshSoon(); }, POLL_MS);
  setInterval(() => { drawFreshness(); drawEvents(); }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshSoon(); });
  $("detail").addEventListener("click", (e) => { if (e.target === $("detail")) $("detail").close(); });
}

start();
