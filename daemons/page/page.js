// The page of ringwayd: asks for what was seen last once a second, and shows it. No framework; nothing comes from elsewhere.
"use strict";

const kMostRows = 200;

// ---- asking

let token = sessionStorage.getItem("ringway-token") ?? "";

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", headers: token ? { Authorization: `Bearer ${token}` } : {}, signal: AbortSignal.timeout(10_000) });
  if (answer.ok) return answer.json();
  const error = new Error((await answer.json().catch(() => ({}))).error ?? `HTTP ${answer.status}`);
  throw Object.assign(error, { status: answer.status });
}

// ---- what is shown

const state = { topics: [], past: new Map(), totals: { messages: [], fullest: [] }, look: 0, sort: "name", down: false, filter: "", all: false };
const address = (topic) => `#/topic?${new URLSearchParams({ bus: topic.bus, name: topic.name })}`;
const bus_text = (name) => (name.startsWith("/") ? name.split("/").filter(Boolean).at(-1) ?? name : name);
const key_of = (topic) => `${topic.bus}\n${topic.name}`;

function show_findings(list, findings, many_buses, fine) {
  const text = JSON.stringify(findings.map((one) => [one.bus, one.topic, one.severity, one.text]));
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  if (findings.length === 0) {
    list.replaceChildren(make("li", { class: "fine" }, fine));
    return;
  }
  list.replaceChildren(...findings.map((one) => {
    const what = make("p");
    if (many_buses) what.append(make("span", { class: "quiet" }, `${bus_text(one.bus)} `));
    if (one.topic && list.id === "findings") what.append(make("a", { href: address({ bus: one.bus, name: one.topic }) }, ...breakable(one.topic)), ": ");
    what.append(one.text);
    return make("li", { class: one.severity }, make("span", { class: "severity" }, one.severity), what,
      make("p", { class: "next" }, ...sentence(one.next)));
  }));
}

function show_buses(buses, version) {
  byId("buses").replaceChildren(...buses.map((bus) => {
    const all = make("li", { title: bus.directory, class: bus.problem ? "problem" : undefined }, make("b", {}, bus_text(bus.name)), " ");
    if (bus.problem) all.append(bus.problem);
    else {
      const used = 1 - bus.file_system_free_bytes / Math.max(bus.file_system_bytes, 1);
      all.append(`${bus.topics} ${bus.topics === 1 ? "topic" : "topics"}, memory ${percent(used)} used`);
    }
    return all;
  }));
  put(byId("about"), `Ringway ${version}. This page only looks: messages flow the same without it.`);
}

function topic_row(topic) {
  const link = make("a", { href: address(topic) }, ...breakable(topic.name)), under = make("span", { class: "sub" });
  const cell = (name, cls) => make("td", { "data-name": name, class: cls });
  const line = spark(), lag = meter();
  const rate = cell("messages/s", "right"), volume = cell("bytes/s", "right"), publishers = cell("publishers", "right"), subscriptions = cell("subscriptions", "right"), behind = cell("behind", "wide");
  behind.append(lag.all);
  const all = make("tr", {}, make("th", { scope: "row" }, link, under), make("td", { class: "wide" }, line.all), rate, volume,
    behind, publishers, subscriptions);
  return {
    all,
    set(now) {
      put(under, now.problem || [state.buses > 1 ? bus_text(now.bus) : "", now.publishers_waiting ? `${now.publishers_waiting} held back` : ""].filter(Boolean).join(", "));
      put_class(under, `sub${now.problem ? " dead" : now.publishers_waiting ? " alarm" : ""}`);
      line.set(state.past.get(key_of(now)) ?? []);
      put(rate, number(now.messages_per_second));
      put(volume, bytes(now.bytes_per_second));
      lag.set(now.lag_bytes, now.capacity_bytes);
      put(publishers, String(now.publishers));
      put(subscriptions, String(now.subscriptions));
    },
  };
}
const kNoTopic = "No topic here. One appears with its first publisher or subscriber.";
const topic_rows = new Rows(byId("topics").tBodies[0], topic_row, kNoTopic);
const by_name = new Intl.Collator(undefined, { numeric: true }).compare;  // t2 before t10

function show_topics() {
  const wanted = state.filter.toLowerCase();
  const value = (topic) => (state.sort === "lag" ? topic.lag_bytes / Math.max(topic.capacity_bytes, 1) : topic[state.sort]);
  const list = state.topics.filter((topic) => topic.name.toLowerCase().includes(wanted));
  list.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const order = typeof x === "string" ? by_name(x, y) : x - y;
    return (state.down ? -order : order) || by_name(a.name, b.name);
  });
  const shown = state.all ? list : list.slice(0, kMostRows);
  put(topic_rows.none.firstChild, state.topics.length ? "No topic has that in its name." : kNoTopic);
  topic_rows.show(shown, key_of);
  const more = byId("more");
  if (shown.length === list.length) more.replaceChildren();
  else if (!more.firstChild || more.dataset.count !== String(list.length)) {
    const button = make("button", { type: "button" }, `show all ${list.length}`);
    button.addEventListener("click", () => { state.all = true; show_topics(); });
    more.dataset.count = String(list.length);
    more.replaceChildren(`${shown.length} are shown. `, button);
  }
}

let total_chart, fullest_chart, rate_chart, lag_chart;
function add_point(values, value, most) {
  values.push(value);
  if (values.length > most) values.splice(0, values.length - most);
}

function show_summary(now) {
  state.buses = now.buses.length;
  state.topics = now.topics;
  show_buses(now.buses, now.version);
  if (now.history) {
    state.totals = { messages: now.history.messages_per_second, fullest: now.history.fullest };
    state.past = new Map(now.topics.map((topic) => [key_of(topic), topic.recent]));
  } else if (now.look !== state.look) {
    const past = new Map();
    for (const topic of now.topics) {
      const values = state.past.get(key_of(topic)) ?? [];
      add_point(values, topic.messages_per_second, 60);
      past.set(key_of(topic), values);
    }
    state.past = past;
    add_point(state.totals.messages, now.topics.reduce((sum, topic) => sum + topic.messages_per_second, 0), kPoints);
    add_point(state.totals.fullest, Math.min(1, Math.max(0, ...now.topics.map((topic) => topic.lag_bytes / Math.max(topic.capacity_bytes, 1)))), kPoints);
  }
  state.look = now.look;
  LineChart.step = now.refresh_seconds;
  show_findings(byId("findings"), now.findings, state.buses > 1, "Nothing needs attention.");
  total_chart ??= new LineChart("total", number, { most: 10 });
  fullest_chart ??= new LineChart("fullest", percent, { most: 1 });
  total_chart.show({ messages: state.totals.messages });
  fullest_chart.show({ behind: state.totals.fullest });
  put(byId("total-now"), number(state.totals.messages.at(-1) ?? 0));
  put(byId("fullest-now"), percent(state.totals.fullest.at(-1) ?? 0));
  show_topics();
}

// ---- one topic

function publisher_state(one) {
  if (one.died) return [one.open_claim === null ? "dead" : "dead, in an open claim", "dead"];
  if (!one.alive) return ["closed", ""];
  if (one.waiting_ns !== null) return [`waits for ${one.waiting_for || "space"}`, "alarm"];
  return one.stopped ? ["stopped", "alarm"] : ["alive", ""];
}
function publisher_row() {
  const name = make("th", { scope: "row" }), state_of = make("td");
  const cells = ["messages/s", "bytes/s", "messages", "pid"].map((text) => make("td", { class: "right", "data-name": text }));
  const all = make("tr", {}, name, state_of, ...cells);
  return {
    all,
    set(one) {
      const [text, cls] = publisher_state(one);
      put(name, one.name || `slot ${one.slot}`);
      put(state_of, text);
      put_class(state_of, cls);
      put_class(all, one.alive ? "" : "gone");
      [number(one.rate.messages), bytes(one.rate.bytes), whole(one.messages), String(one.pid)].forEach((value, i) => put(cells[i], value));
    },
  };
}
function owner(one) {
  if (one.group) {
    const stopped = one.members.filter((name) => name.endsWith(", stopped)")).length;
    const text = (one.members.length === 1 ? "1 member" : `${one.members.length} members`) + (stopped ? `, ${stopped} stopped` : "");
    return [text, stopped || !one.members.length && one.lag_bytes ? "alarm" : ""];
  }
  if (!one.attached) return ["nobody", one.lag_bytes ? "alarm" : ""];
  if (one.stopped) return [`pid ${one.pid}, stopped`, "alarm"];
  return [`pid ${one.pid}${one.sleeping ? ", sleeps" : ""}`, ""];
}
function subscription_row() {
  const title = make("span"), under = make("span", { class: "sub" }), owned = make("td", { "data-name": "owner" }), lag = meter();
  const cells = ["received/s", "lost", "latency"].map((text) => make("td", { class: "right", "data-name": text }));
  const behind = make("td", { class: "wide", "data-name": "behind" }, lag.all);
  const all = make("tr", {}, make("th", { scope: "row" }, title, under), owned, behind, ...cells);
  return {
    all,
    set(one) {
      const [text, cls] = owner(one);
      put(title, one.name || `slot ${one.slot}`);
      put(under, one.group ? `group, ${whole(one.held)} held` : `${one.durable ? "durable" : "ephemeral"}, ${one.max_lag_bytes ? `lag of ${bytes(one.max_lag_bytes)}` : one.reliability}`);
      put(owned, text);
      put_class(owned, cls);
      lag.set(one.lag_bytes, one.capacity);
      const latency = one.rate.latency;
      [number(one.rate.received), whole(one.lost), latency && latency.messages ? `${nanoseconds(latency.p50_ns)}, ${nanoseconds(latency.p99_ns)}` : "-"]
        .forEach((value, i) => put(cells[i], value));
    },
  };
}
const publisher_rows = new Rows(byId("publishers").tBodies[0], publisher_row, "Nobody has published here yet.");
const subscription_rows = new Rows(byId("subscriptions").tBodies[0], subscription_row, "Nobody has subscribed here.");

function show_detail(topic, findings) {
  put(byId("detail-title"), topic.name);
  document.title = `${topic.name} - Ringway`;
  const options = topic.options;
  const sum = topic.publishers.reduce((all, one) => all + one.messages, 0);
  put(byId("detail-facts"), topic.problem || [
    bus_text(topic.bus), `${bytes(options.capacity_bytes)} ring`, options.publishers === "exclusive" ? "one publisher at a time" : "shared",
    topic.type_size ? topic.type_name || `type of ${topic.type_size} bytes` : "bytes", `${whole(sum)} messages so far`].join(" · "));
  show_findings(byId("detail-findings"), findings.filter((one) => one.bus === topic.bus && one.topic === topic.name), false, "Nothing needs attention here.");
  rate_chart ??= new LineChart("rate", number, { most: 10 });
  lag_chart ??= new LineChart("lag", bytes, { legend: true, most: 1024 });
  const history = topic.history ?? { messages_per_second: [], lag_bytes: {} };
  rate_chart.show({ messages: history.messages_per_second });
  lag_chart.show(history.lag_bytes);
  put(byId("rate-now"), number(topic.rates.published.messages));
  publisher_rows.show(topic.publishers.map((one, i) => ({ ...one, rate: topic.rates.publishers[i] })), (one) => one.slot);
  subscription_rows.show(topic.subscriptions.map((one, i) => ({ ...one, rate: topic.rates.subscriptions[i], capacity: options.capacity_bytes })),
    (one) => one.slot);
}

// ---- the loop

function shown_topic() {
  return location.hash.startsWith("#/topic?") ? new URLSearchParams(location.hash.slice(8)) : null;
}
let last_answer = Date.now(), timer, asked = 0;

async function refresh() {
  clearTimeout(timer);
  const mine = ++asked, wanted = shown_topic();
  try {
    const [summary, detail] = await Promise.all([
      ask(state.look && LineChart.step >= 1 ? "/api/v1/summary" : "/api/v1/recent"), wanted ? ask(`/api/v1/topic?${wanted}`).catch((error) => {
        if (error.status !== 404) throw error;
        return null;
      }) : undefined]);
    if (mine !== asked) return;  // another one has begun since
    last_answer = Date.now();
    byId("token").hidden = true;
    byId("overview").hidden = wanted !== null;
    byId("detail").hidden = wanted === null;
    show_summary(summary);
    if (wanted && detail) show_detail(detail, summary.findings);
    else if (wanted) location.hash = "#/";  // it is gone
    else document.title = summary.findings.some((one) => one.severity === "problem") ? "(!) Ringway" : "Ringway";
    put(byId("live"), "live");
    put_class(byId("live"), "on");
  } catch (error) {
    if (mine !== asked) return;
    if (error.status === 401) {
      byId("overview").hidden = byId("detail").hidden = true;
      put(byId("token-wrong"), token ? "That is not the token." : "");
      if (byId("token").hidden) {
        byId("token").hidden = false;
        byId("token-text").focus();
      }
      put(byId("live"), "waits for a token");
      put_class(byId("live"), "");
      return;
    }
    put(byId("live"), `no answer for ${duration((Date.now() - last_answer) / 1000)}: ${error.status ? error.message : "trying again"}`);
    put_class(byId("live"), "off");
  }
  timer = setTimeout(refresh, document.hidden ? 5000 : 1000);
}

byId("token").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token-text").value.trim();
  sessionStorage.setItem("ringway-token", token);
  refresh();
});
byId("filter").addEventListener("input", (event) => {
  state.filter = event.target.value;
  show_topics();
});
function sort_by(name) {
  state.down = state.sort === name ? !state.down : name !== "name";
  state.sort = name;
  byId("order").value = name;
  for (const one of document.querySelectorAll("[data-sort]")) {
    const head = one.closest("th");
    if (one.dataset.sort === name) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  show_topics();
}
for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sort_by(button.dataset.sort));
byId("order").addEventListener("change", (event) => sort_by(event.target.value));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key === "/" && !typing && !byId("overview").hidden) {
    event.preventDefault();
    byId("filter").focus();
  } else if (event.key === "Escape" && !byId("detail").hidden) {
    location.hash = "#/";
  }
});
addEventListener("hashchange", () => {
  scrollTo(0, 0);
  refresh().then(() => byId("main").focus());
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
