"""Broken builds: each breaks one line of the shipping code, and the kill harness, or a test of half-states, must find it.

usage: mutants.py BUILD_DIRECTORY [--short] [--only NAME] [--seed N] | --check | --self-test

A row names what finds it (an operation of the harness, or a suite of tests), the file, and what is replaced by what. Only the
sources that matter are compiled again, with the commands of the build; the rest is linked from there. --check: each row of the
crash table in ARCHITECTURE.md names a broken build, which one of that row's own tests finds; and what is replaced is there.
"""
import json
import re
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RING = "include/ringway/detail/ring.hpp"
PUBLISHER = "include/ringway/publisher.hpp"
MESSAGE = "include/ringway/message.hpp"
WAIT = "include/ringway/detail/wait.hpp"
JOBS = "include/ringway/detail/jobs.hpp"

# What must be compiled again for a changed header, beside the operation's own source; a changed source only itself.
USERS = {
    RING: ["lib/publisher.cpp"],
    PUBLISHER: [],
    MESSAGE: [],
    JOBS: ["lib/job.cpp", "lib/group.cpp", "lib/publisher.cpp"],
    WAIT: ["lib/publisher.cpp", "lib/attachment.cpp"],
    "lib/attachment.hpp": ["lib/attachment.cpp", "lib/subscription.cpp"],
    "lib/resolve.hpp": ["lib/repair.cpp", "lib/reader.cpp"],
}

SHORT = ["commit-before-copy", "no-record-before-the-cas"]

# name, operation or suite of tests, file, [(old, new)...]
MUTANTS = [
    # A publisher of a shared topic.
    ("commit-before-copy", "publish", PUBLISHER, [(
        "    detail::fill(*core_, bytes, size);\n"
        "    detail::commit(*core_, static_cast<std::uint32_t>(size));",
        "    std::byte* const to = core_->ring.payload();\n"
        "    detail::commit(*core_, static_cast<std::uint32_t>(size));\n"
        "    if (size != 0) std::memcpy(to, bytes, size);")]),
    ("message-passed-uncounted", "pairs", RING, [(
        "((record & kRecordWon) == 0 && tagged(memory_, position))", "tagged(memory_, position)")]),
    ("no-record-before-the-cas", "publish", RING, [(
        "      row.record.store(position | kRecordStanding, std::memory_order_release);", "")]),
    ("record-without-its-extent", "short-commit", RING, [(
        "      row.record_extent.store(extent | count, std::memory_order_relaxed);  // W1 orders it", "")]),
    ("won-before-the-cas", "pairs", RING, [(
        "      row.record.store(position | kRecordStanding, std::memory_order_release);",
        "      row.record.store(position | kRecordStanding | kRecordWon, std::memory_order_release);")]),
    ("record-stays-after-a-lost-cas", "pairs", RING, [(
        "      row.record.store(kNoRecord, std::memory_order_release);\n      for",
        "      for"),
        ("      row.record_extent.store(extent | count, std::memory_order_relaxed);  // W1 orders it",
         "      if (retries == 0) row.record_extent.store(extent | count, std::memory_order_relaxed);"),
        ("      row.record.store(position | kRecordStanding, std::memory_order_release);",
         "      if (retries == 0) row.record.store(position | kRecordStanding, std::memory_order_release);")]),
    ("record-gone-before-the-tag", "commit", RING, [(
        "    publish_frame(pack_size(length, extent_, kind), 0, stamp);",
        "    memory_.publisher(slot_).record.store(kNoRecord, std::memory_order_release);\n"
        "    publish_frame(pack_size(length, extent_, kind), 0, stamp);")]),
    ("record-gone-before-the-tag-of-an-abort", "abort", RING, [(
        "    publish_frame(pack_size(0, extent_, FrameKind::aborted), 0, 0);",
        "    memory_.publisher(slot_).record.store(kNoRecord, std::memory_order_release);\n"
        "    publish_frame(pack_size(0, extent_, FrameKind::aborted), 0, 0);")]),
    ("tag-before-the-header", "publish", RING, [(
        "  frame.size.store(size, std::memory_order_relaxed);      // W4 orders it",
        "  frame.tag.store(position ^ memory.epoch, std::memory_order_seq_cst);\n"
        "  frame.size.store(size, std::memory_order_relaxed);")]),
    ("counter-before-the-tag", "publish", RING, [(
        "    publish_frame(pack_size(length, extent_, kind), 0, stamp);",
        "    memory_.publisher(slot_).sequence.store(sequence_ + 1, std::memory_order_seq_cst);\n"
        "    publish_frame(pack_size(length, extent_, kind), 0, stamp);")]),
    # Of packed frames.
    ("run-before-its-copy", "publish-all", "lib/publisher.cpp", [(
        "    fill_packed(core, from + done * bytes_each, some, bytes_each);\n", ""),
        ("    done += some;", "    std::memcpy(core.ring.payload(), from + done * bytes_each, some * bytes_each);\n    done += some;")]),
    ("run-counted-before-its-tag", "publish-all", RING, [(
        "    publish_frame(pack_size(length, extent_, FrameKind::packed), messages, stamp);",
        "    memory_.publisher(slot_).sequence.store(sequence_ + messages, std::memory_order_seq_cst);\n"
        "    publish_frame(pack_size(length, extent_, FrameKind::packed), messages, stamp);")]),
    ("run-settled-as-one-message", "publish-all", "lib/repair.cpp", [(
        "      row.sequence.store(known + messages_of(size, origin), std::memory_order_relaxed);\n  }\n  row.record",
        "      row.sequence.store(known + 1, std::memory_order_relaxed);\n  }\n  row.record")]),
    ("run-has-all-its-messages", "short-run", "lib/publisher.cpp", [(
        "  detail::commit_packed(*core, static_cast<std::uint32_t>(count), ",
        "  detail::commit_packed(*core, static_cast<std::uint32_t>(count_), ")]),
    ("released-with-its-frame", "release-inside", RING, [(
        "    next_ = found.next = last ? packed_.end : next_ + 1;",
        "    found.next = packed_.end;\n    next_ = last ? packed_.end : next_ + 1;")]),
    # Of an exclusive one.
    ("tail-before-the-tag", "publish", RING, [(
        "    publish_frame(pack_size(length, extent_, kind), 0, stamp);",
        "    if (memory_.exclusive) memory_.tail().store(position_ + extent_, std::memory_order_seq_cst);\n"
        "    publish_frame(pack_size(length, extent_, kind), 0, stamp);")]),
    ("exclusive-goes-on-at-tail", "publish", "lib/attachment.cpp", [(
        "memory.exclusive ? settle_exclusive(memory) : memory.tail().load(std::memory_order_acquire);",
        "memory.tail().load(std::memory_order_acquire);")]),
    # Space.
    ("limit-beyond-oldest", "move-oldest", RING, [(
        "limit_ = floor + memory_.capacity;", "limit_ = floor + memory_.capacity + memory_.capacity / kEighths;")]),
    ("oldest-passes-a-reliable-cursor", "move-oldest", RING, [(
        "      const std::uint64_t bound = behind ? slowest.position : lowest;",
        "      const std::uint64_t bound = lowest;"),
        ("floor = slowest.any && before(slowest.position, oldest) ? slowest.position : oldest;", "floor = oldest;")]),
    ("oldest-passes-an-open-claim", "commit-among-lossy", RING, [(
        "      const std::uint64_t lowest = memory_.exclusive ? tail : lowest_record(oldest, tail, owner);",
        "      const std::uint64_t lowest = tail;")]),
    # Repair.
    ("settle-without-a-look-at-the-tag", "publish", "lib/repair.cpp", [(
        "  if (!passed && !tagged(memory, position)) return false;", "")]),
    ("settle-without-the-counter", "publish", "lib/repair.cpp", [(
        "      row.sequence.store(known + messages_of(size, origin), std::memory_order_relaxed);\n  }\n  row.record",
        "      static_cast<void>(known);\n  }\n  row.record")]),
    ("settle-counts-twice", "publish", "lib/repair.cpp", [(
        "publisher_of(origin) == slot && sequence_of(origin) == (known & kSequenceMask)", "publisher_of(origin) == slot")]),
    ("settle-keeps-what-was-never-claimed", "publish", "lib/repair.cpp", [(
        "  const bool never = !before(position, memory.tail().load(std::memory_order_acquire));",
        "  const bool never = false;")]),
    ("repair-stores-the-tag-first", "publish", "lib/repair.cpp", [(
        "  write_frame(memory, position, size,",
        "  memory.frame(position).tag.store(position ^ memory.epoch);\n  write_frame(memory, position, size,")]),
    ("repair-clears-the-record-first", "publish", "lib/repair.cpp", [(
        "  write_frame(memory, position, size,",
        "  memory.publisher(ruling.slot).record.store(kNoRecord);\n  write_frame(memory, position, size,")]),
    ("attach-keeps-the-record", "publish", "lib/attachment.cpp", [(
        "    bool settled = settle_record(memory, slot);",
        "    bool settled = settle_record(memory, slot) || record != 1;")]),
    ("any-end-will-do", "pairs", "lib/resolve.hpp", [(
        "      if (is_frame_end(memory, one->end)) {", "      {")]),
    ("the-living-are-skipped", "commit", "lib/reader.cpp", [(
        "    return attachment.publishers.probe(kSlotBytes + slot) == Prober::Answer::dead;",
        "    return attachment.publishers.probe(kSlotBytes + slot) != Prober::Answer::unknown;")]),
    # Not asking before the lock is taken whether the owner of a claim lives is harmless: the rule asks again, under it.
    ("attach-settles-the-living", "claim", "lib/attachment.cpp", [(
        "owned && attachment.publishers.probe(kSlotBytes + slot) != Prober::Answer::dead;",
        "owned && attachment.publishers.probe(kSlotBytes + slot) == Prober::Answer::unknown;")]),
    ("mark-ahead-stays", "SettleExclusiveTest", "lib/repair.cpp", [(
        "      memory.mark(eighth).store(0, std::memory_order_relaxed);", "      {}")]),
    # Waking.
    ("no-backstop", "wake-subscriber", WAIT, [("kBackstop = 50'000'000;", "kBackstop = 50'000'000'000;")]),
    ("sleeps-on-without-its-bit", "wake-subscriber", "lib/reader.cpp", [(
        "  const bool woken = something(core) || futex_wait(*bed.doorbell, seen, until);",
        "  bool woken = something(core) || futex_wait(*bed.doorbell, seen, until);\n"
        "  while (!woken && (bed.word->load() & bed.bit) == 0)\n"
        "    woken = futex_wait(*bed.doorbell, seen, until + 50'000'000'000);")]),
    ("never-disarmed", "disarm", RING, [("    disarm(memory_);", "")]),
    ("publisher-without-a-backstop", "wake-publisher", "lib/publisher.cpp", [(
        "std::min(deadline, now + longest_sleep(attachment.wait))", "deadline")]),
    ("wake-keeps-the-parked-bit", "WaitTest", WAIT, [(
        "memory.parked[word].fetch_and(~chosen, std::memory_order_acq_rel) & chosen;",
        "memory.parked[word].load(std::memory_order_acquire) & chosen;")]),
    ("wake-keeps-the-waiting-bit", "WaitTest", WAIT, [(
        "if (memory.waiting[word].fetch_and(~bit, std::memory_order_acq_rel) & bit)",
        "if (memory.waiting[word].load(std::memory_order_acquire) & bit)")]),
    # Subscriptions.
    ("row-given-up-before-its-state", "free-dead-reader", "lib/repair.cpp", [(
        "  const std::uint64_t cursor = row.cursor.load(std::memory_order_relaxed);",
        "  const std::uint64_t cursor = row.cursor.load(std::memory_order_relaxed);\n"
        "  row.kind.store(SubscriptionKind::none, std::memory_order_seq_cst);\n"
        "  row.owned.store(0, std::memory_order_seq_cst);")]),
    ("active-before-its-cursor", "attach-new", "lib/join.cpp", [(
        "    row.state.store(SubscriptionState::joining, std::memory_order_seq_cst);",
        "    row.state.store(SubscriptionState::reliable, std::memory_order_seq_cst);")]),
    ("kind-before-the-name", "make-subscription", "lib/subscription.cpp", [(
        "  write_name(row.name, options.name);",
        "  row.kind.store(durable ? SubscriptionKind::durable : SubscriptionKind::ephemeral, std::memory_order_seq_cst);\n"
        "  write_name(row.name, options.name);")]),
    ("row-beyond-the-rows-used", "attach-new", "lib/subscription.cpp", [(
        "    memory.control->subscriptions_used.store(slot + 1, std::memory_order_seq_cst);  // J1: pairs with N1", "    {}")]),
    ("released-when-received", "receive", MESSAGE, [(
        "  core.ends[core.views_end % kMaxViews] = next;",
        "  core.ends[core.views_end % kMaxViews] = next;\n  move_cursor(core, next, 0);")]),
    ("lock-that-outlives-its-holder", "attach-publisher", "lib/attachment.hpp", [(
        "      if (answer == KernelLocks::Answer::taken) {",
        "      auto& held = segment.memory().waiting_line(segment.memory().max_publishers - 1).since_ns;\n"
        "      if (answer == KernelLocks::Answer::taken && held.exchange(1) == 0) {"),
        ("        return true;\n      }\n    }\n", "        held.store(0);\n        return true;\n      }\n    }\n")]),
    ("the-dead-keep-their-slots", "attach-publisher", "lib/attachment.cpp", [(
        "owned && attachment.publishers.probe(kSlotBytes + slot) != Prober::Answer::dead;", "owned;")]),
    # Groups.
    ("what-is-kept-is-a-job", "take-next", JOBS, [("    if (word.state == EntryState::kept) return false;\n", "")]),
    ("what-never-won-is-a-job", "take", JOBS, [(
        "      if (!before(entry.position.load(std::memory_order_relaxed), next)) return false;  // 'dead' comes after it\n",
        "      if (next == 1) return false;\n")]),
    ("what-may-have-won-is-dropped", "take", JOBS, [("      word.again = true;\n", "      return false;\n")]),
    ("what-may-have-won-is-not-marked", "take", JOBS, [("      word.again = true;\n", "")]),
    ("what-was-lost-comes-again", "take-torn", JOBS, [(
        "      if (before(job.found.position, gate)) {", "      if (gate == 1) {")]),
    ("announced-before-its-position", "take-next", JOBS, [(
        "    entry.position.store(job.found.position, std::memory_order_release);\n", ""), (
        "    entry.word.store(job.word, std::memory_order_release);\n  }\n\n  // Takes what is",
        "    entry.word.store(job.word, std::memory_order_release);\n"
        "    entry.position.store(job.found.position, std::memory_order_release);\n  }\n\n  // Takes what is")]),
    ("taken-before-it-is-announced", "take-next", JOBS, [(
        "    announce(job);\n    if (!move_next(from, found.next)) {\n      ack(job);\n      return false;\n    }\n",
        "    if (!move_next(from, found.next)) {\n      ack(job);\n      return false;\n    }\n    announce(job);\n")]),
    ("next-before-the-entries", "take-two", JOBS, [(
        "    for (std::uint32_t i = 0; i < own; ++i) announce(jobs[i]);\n", "    announce(jobs[0]);\n"), (
        "    hold_new(jobs[0], 1, now_ns);\n",
        "    for (std::uint32_t i = 1; i < own; ++i) announce(jobs[i]);\n    hold_new(jobs[0], 1, now_ns);\n")]),
    ("handed-out-uncounted", "hand-out", JOBS, [(
        "    word.attempt = std::min(word.attempt + 1, kMaxAttempts);", "")]),
    ("held-back-publishers-leave-the-gate", "move-gate", "lib/publisher.cpp", [(
        "!before(frame_start(move_gate(memory, blocker.slot, group)), blocker.position);", "group == memory.max_groups;")]),
    ("given-back-by-way-of-free", "nack", JOBS, [(
        "    entry.time_ns.store(not_before_ns, std::memory_order_relaxed);  // T8 orders it",
        "    entry.word.store(0, std::memory_order_seq_cst);\n    entry.time_ns.store(not_before_ns, std::memory_order_relaxed);")]),
    ("take-over-forgets-the-attempts", "take-over", JOBS, [(
        "    word.state = EntryState::held;\n    word.owner = slot_;",
        "    word.state = EntryState::held;\n    word.attempt = 0;\n    word.owner = slot_;")]),
    ("done-before-its-dead-letter", "dead-letter", "lib/job.cpp", [(
        "  Code code = Code::system;\n  try {", "  Code code = Code::system;\n  core.ring.ack(job);\n  try {"),
        ("    core.ring.ack(job);\n    count(", "    count(")]),
    ("joins-without-settling", "join-settles", "lib/group.cpp", [("  core.ring.settle();  // Death after it: done again\n", "")]),
    ("leave-ends-what-was-taken-ahead", "leave", "lib/group.cpp", [(
        "core->ring.give_back(core->waiting[core->waiting_begin], 0);", "core->ring.ack(core->waiting[core->waiting_begin]);")]),
    ("group-that-has-not-joined-stays-so", "make-group", "lib/group.cpp", [(
        "  made = !taken.existing || !has_joined(row);", "  made = !taken.existing;")]),
    ("member-without-a-backstop", "wake-member", "lib/job.cpp", [(
        "std::min(deadline, now + longest_sleep(attachment.wait))", "deadline")]),
    # A reboot.
    ("whoever-leaves-speaks-for-all", "RebootTest", "lib/reboot.cpp", [(
        "  if (!anyone_attached(segment.memory(), publishers, subscribers))\n", "")]),
    ("discard-counts-once-more", "RebootTest", "lib/reboot.cpp", [(
        "  if (row.cursor.load(kRelaxed) != start) {", "  {")]),
    ("discard-forgets-the-sum", "discard", "lib/reboot.cpp", [(
        "             files.geometry.discarded + discarded);", "             discarded);")]),
    # Names. Removing control before data instead is harmless: data alone is no topic, and the next creator removes it.
    ("name-before-the-contents", "create", "lib/topic.cpp", [(
        "  write_data(data, spec, epoch, status.st_ino, topic);\n", ""),
        ("  if (error == 0) return true;\n  unlink_it(control_file);",
         "  if (error == 0) write_data(data, spec, epoch, status.st_ino, topic);\n"
         "  if (error == 0) return true;\n  unlink_it(control_file);")]),
    ("creator-without-its-byte", "create", "lib/topic.cpp", [(
        "  if (locks.try_lock(std::move(control), kCreatorByte) != KernelLocks::Answer::taken)  // T1",
        "  if (!control)")]),
    ("orphan-stays", "create-over-data", "lib/topic.cpp", [(
        "    ::unlink(data_name.c_str());  // T3\n", "")]),
    ("half-stays", "create", "lib/topic.cpp", [("  unlink_it(*half);\n  return true;", "  return true;")]),
    ("half-stays-after-a-removal", "remove", "lib/topic.cpp", [("  unlink_it(*half);\n  return true;", "  return true;")]),
    # Opening a topic that is being removed is harmless: attaching looks again, under the table lock. So both are broken.
    ("removed-topics-take-anyone", "HalvesTest", "lib/topic.cpp", [(
        "if (!files->removed && (role", "if ((role"),
        ("  if (segment.memory().control->removed.load(std::memory_order_relaxed) == 0) return false;", "  return false;")]),
    ("halves-stay-in-a-removed-bus", "remove", "lib/bus.cpp", [(
        "detail::topic_names(*state_, true)", "detail::topic_names(*state_, false)")]),
]


def fail(text):
    sys.exit(f"mutants.py: {text}")


def command_of(build, source):
    """The build's command for a source, without where it reads from and writes to; and the object it makes."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if Path(entry["file"]) == ROOT / source:
            words = shlex.split(entry["command"])
            at = words.index("-o")
            target = Path(entry["directory"], words[at + 1])
            kept = [w for i, w in enumerate(words) if i not in (at, at + 1) and w not in ("-c", str(ROOT / source))]
            return kept, target, Path(entry["directory"])
    fail(f"{build} does not compile {source}")


def split(command):
    """The compiler, behind ccache or not, and the rest."""
    words = 2 if command[0].endswith("ccache") else 1
    return command[:words], command[words:]


def mutate(tree, file, changes):
    for top in ("include", "lib"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".hpp", ".cpp"):
                copy = tree / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(path.read_text())
    text = (tree / file).read_text()
    for old, new in changes:
        if text.count(old) != 1:
            fail(f"{file} has {text.count(old)} times, not once:\n{old}")
        text = text.replace(old, new)
    (tree / file).write_text(text)


def is_suite(operation):
    return operation.endswith("Test")


def test_program(suite):
    """The source of the tests of a suite."""
    found = [path for path in ROOT.glob("tests/*_test.cpp") if re.search(rf"^TEST(_F|_P)?\({suite},", path.read_text(), re.M)]
    if len(found) != 1:
        fail(f"there is no one file of {suite}")
    return found[0]


def sources_of(file, operation):
    if is_suite(operation):
        return [f"tests/{test_program(operation).name}", *USERS.get(file, [file])]
    if file not in (RING, PUBLISHER, MESSAGE, JOBS):
        return USERS.get(file, [file])
    return ["tests/crash/pairs.cpp" if operation == "pairs" else "tests/crash/operations.cpp", *USERS[file]]


def build_mutant(build, tree, file, operation):
    objects, replaced = [], []
    for source in sources_of(file, operation):
        kept, target, directory = command_of(build, source)
        text = tree / source if source.startswith("lib/") else ROOT / source
        out = tree / (Path(source).name + ".o")
        own = [f"-I{tree}/include", f"-I{tree}/lib", "-w"]
        compiler, options = split(kept)
        subprocess.run([*compiler, *own, *(o for o in options if o != "-g"), "-c", str(text), "-o", str(out)],
                       cwd=directory, check=True)
        objects.append(out)
        replaced.append(target.name)
    kill = [] if is_suite(operation) else (build / "tests/CMakeFiles/kill.dir/crash").glob("*.o")
    rest = [o for o in kill if o.name not in replaced]
    compiler = split(command_of(build, "tests/crash/kill_main.cpp")[0])[0]
    program = tree / "kill"
    # The objects compiled again come first: theirs are the inline functions that are used.
    subprocess.run([*compiler, *map(str, objects), *map(str, rest), str(build / "tests/libtest_support.a"),
                    str(build / "lib/libringway.a"), *(["-lgtest_main"] if is_suite(operation) else []), "-lgtest", "-ldl",
                    "-pthread", "-o", str(program)], check=True)
    return program


def judge(build, mutant, seed):
    name, operation, file, changes = mutant
    with tempfile.TemporaryDirectory(prefix="ringway-mutant.") as scratch:
        tree = Path(scratch)
        mutate(tree, file, changes)
        program = build_mutant(build, tree, file, operation)
        options = [f"--gtest_filter={operation}.*"] if is_suite(operation) else ["--only", operation, "--seed", seed]
        if operation.startswith("wake-"):  # few steps, of which one or two count
            options.append("--full")
        run = subprocess.run([str(program), *options], capture_output=True, text=True)
    sign = "[  FAILED  ] " if is_suite(operation) else "BAD"
    found = [line for line in run.stdout.splitlines() if line.startswith(sign)]
    if is_suite(operation):
        return name, operation, run.returncode == 1 and bool(found), "".join(found[:1]).removeprefix(sign)
    why = re.sub(r"\(0x.*\): ", ": ", found[0][4:]) if found else f"exit status {run.returncode}"
    return name, operation, run.returncode == 1 and bool(found), why


def uncovered(text, mutants):
    """What is wrong with the crash table: rows without a broken build that one of their own tests finds."""
    found_by = {name: operation for name, operation, *_ in mutants}
    table = text.partition("## After a crash")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in re.findall(r"^\|.*\|$", table, re.M)][2:]
    wrong = [] if rows else ["there is no crash table"]
    for row in rows:
        if len(row) != 5:
            wrong.append(f"not five cells: {row[0]}")
            continue
        tests = {word.strip("`,") for word in row[3].replace("kill: ", "").split()}
        for name in row[4].split(", "):
            if name not in found_by:
                wrong.append(f"there is no broken build {name or 'named'}: {row[0]}")
            elif found_by[name] not in tests:
                wrong.append(f"{name} is found by {found_by[name]}, which is no test of: {row[0]}")
    return wrong


def check():
    wrong = uncovered((ROOT / "ARCHITECTURE.md").read_text(), MUTANTS)
    for _, _, file, changes in MUTANTS:
        text = (ROOT / file).read_text()
        wrong += [f"{file} has {text.count(old)} times, not once:\n{old}" for old, _ in changes if text.count(old) != 1]
    print("\n".join(wrong) or f"{len(MUTANTS)} broken builds; every row of the crash table has one")
    return 1 if wrong else 0


def self_test():
    def count(row):
        table = f"## After a crash\n\n| a | b | c | d | e |\n|---|---|---|---|---|\n{row}\n\n## Next\n| no row |\n"
        return len(uncovered(table, [("one", "publish", "f", []), ("two", "ATest", "f", [])]))

    assert count("| dies | x | y | `ATest`, kill: publish | one |") == 0
    assert count("| dies | x | y | `ATest`, kill: publish | one, two |") == 0
    assert count("| dies | x | y | `ATest` | one |") == 1, "found by another row's test"
    assert count("| dies | x | y | `ATest` | three |") == 1, "no such build"
    assert count("| dies | x | y | `ATest` |") == 1, "no build"
    assert count("") == 1, "no table"


def main():
    arguments = sys.argv[1:]
    if arguments == ["--check"]:
        sys.exit(check())
    if arguments == ["--self-test"]:
        sys.exit(self_test())
    build = Path(arguments.pop(0)).resolve()
    seed, names = "1", [name for name, *_ in MUTANTS]
    while arguments:
        option = arguments.pop(0)
        if option == "--short":
            names = SHORT
        elif option == "--only":
            names = [arguments.pop(0)]
        elif option == "--seed":
            seed = arguments.pop(0)
        else:
            fail(__doc__)
    chosen = [mutant for mutant in MUTANTS if mutant[0] in names]
    with ThreadPoolExecutor(2) as pool:
        print(f"{'broken build':40} {'operation':18} found")
        missed = 0
        for name, operation, caught, why in pool.map(lambda mutant: judge(build, mutant, seed), chosen):
            print(f"{name:40} {operation:18} {'yes: ' if caught else 'NO: '}{why[:150]}", flush=True)
            missed += not caught
    print(f"{len(chosen) - missed} of {len(chosen)} broken builds were found")
    sys.exit(0 if chosen and not missed else 1)


main()
