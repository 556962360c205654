// `ringway top`: the live view. What it shows is in screen.cpp; here are the terminal and the keys.
#include <curses.h>
// Its macros stand in the way of everybody's names.
#undef timeout
#undef erase
#undef clear
#undef move
#include <unistd.h>

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "cli.hpp"
#include "flags.hpp"
#include "screen.hpp"
#include "stop.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kEscape = 27;

// The terminal in curses' hands; given back at the end, whatever ends it.
class Terminal {
 public:
  Terminal() {
    ::setenv("ESCDELAY", "25", 0);
    screen_ = paints_in_place() ? ::newterm(nullptr, stdout, stdin) : nullptr;
    if (screen_ == nullptr) {
      const char* terminal = std::getenv("TERM");
      throw Error(Code::unsupported, {},
                  fmt::format("top knows no way to move the cursor of this terminal (TERM is `{}`); set TERM, or use "
                              "`ringway info TOPIC --watch`",
                              terminal == nullptr ? "" : terminal));
    }
    ::cbreak();
    ::noecho();
    ::keypad(stdscr, TRUE);
    ::curs_set(0);
    ::wtimeout(stdscr, 100);
    const char* plain = std::getenv("NO_COLOR");
    if ((plain == nullptr || *plain == '\0') && ::has_colors() != FALSE) {
      ::start_color();
      ::use_default_colors();
      ::init_pair(1, COLOR_YELLOW, -1);
      ::init_pair(2, COLOR_RED, -1);
      colours_ = true;
    }
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    ::endwin();
    ::delscreen(screen_);
  }

  void show(const std::vector<Line>& lines) const {
    ::werase(stdscr);
    int row = 0;
    for (const Line& line : lines) {
      ::wattrset(stdscr, static_cast<int>(attributes(line.style)));
      mvwaddnstr(stdscr, row++, 0, line.text.c_str(), COLS);
    }
    ::wattrset(stdscr, A_NORMAL);
    ::wrefresh(stdscr);
  }

 private:
  chtype attributes(Style style) const {
    switch (style) {
      case Style::plain: return A_NORMAL;
      case Style::header: return A_BOLD;
      case Style::chosen: return A_REVERSE;
      case Style::dim: return A_DIM;
      case Style::warning: return colours_ ? COLOR_PAIR(1) : A_BOLD;
      case Style::problem: return (colours_ ? COLOR_PAIR(2) : A_NORMAL) | A_BOLD;
    }
    return A_NORMAL;
  }
  SCREEN* screen_ = nullptr;
  bool colours_ = false;
};

void edit_filter(int key, Choice& choice) {
  if (key == '\n' || key == KEY_ENTER) {
    choice.editing = false;
  } else if (key == kEscape) {
    choice.editing = false;
    choice.filter.clear();
  } else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
    if (!choice.filter.empty()) choice.filter.pop_back();
  } else if (key > ' ' && key < 127) {
    choice.filter += static_cast<char>(key);
  }
}

void move_bar(const View& view, std::ptrdiff_t by, Choice& choice) {
  const auto rows = rows_of(view, choice);
  if (rows.empty()) return;
  const auto at =
      std::find_if(rows.begin(), rows.end(), [&](std::size_t row) { return view.topics()[row].name == choice.chosen; });
  const std::ptrdiff_t now = at == rows.end() ? -1 : at - rows.begin();
  const std::ptrdiff_t to = std::clamp<std::ptrdiff_t>(now + by, 0, static_cast<std::ptrdiff_t>(rows.size()) - 1);
  choice.chosen = view.topics()[rows[static_cast<std::size_t>(to)]].name;
}

// False: quit.
bool answer(int key, const View& view, Choice& choice) {
  if (choice.editing) {
    edit_filter(key, choice);
    return true;
  }
  const std::ptrdiff_t page = std::max(LINES - 8, 1);
  switch (key) {
    case 'q': return false;
    case '?': choice.help = !choice.help; break;
    case ' ': choice.paused = !choice.paused; break;
    case '/': choice.editing = true; break;
    case 'n': choice.order = Order::name; break;
    case 'r': choice.order = Order::messages; break;
    case 'b': choice.order = Order::bytes; break;
    case 'l': choice.order = Order::lag; break;
    case 'p': choice.order = Order::latency; break;
    case KEY_DOWN: move_bar(view, 1, choice); break;
    case KEY_UP: move_bar(view, -1, choice); break;
    case KEY_NPAGE: move_bar(view, page, choice); break;
    case KEY_PPAGE: move_bar(view, -page, choice); break;
    case KEY_HOME: move_bar(view, std::numeric_limits<std::ptrdiff_t>::min() / 2, choice); break;
    case KEY_END: move_bar(view, std::numeric_limits<std::ptrdiff_t>::max() / 2, choice); break;
    case '\n':
    case KEY_ENTER:
      if (choice.chosen.empty()) move_bar(view, 1, choice);
      choice.topic = choice.chosen;
      break;
    case kEscape:
    case KEY_BACKSPACE:
    case 127:
      if (choice.help)
        choice.help = false;
      else if (!choice.topic.empty())
        choice.topic.clear();
      else
        choice.filter.clear();
      break;
    default: break;
  }
  return true;
}

int top(const Place& place, const std::string& topic, std::chrono::nanoseconds interval) {
  const Bus bus = place.open();
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
    throw Error(Code::unsupported, {}, "top needs a terminal; `ringway ls` and `ringway info TOPIC --watch` do not");
  const Stopper stopper(bus);
  View view(bus);
  view.refresh();
  Choice choice;
  choice.topic = choice.chosen = topic;
  const Terminal terminal;
  auto next = Clock::now() + std::min<std::chrono::nanoseconds>(interval, 200ms);  // the first rates soon
  while (!stopping()) {
    terminal.show(screen_of(view, choice, static_cast<std::size_t>(COLS), static_cast<std::size_t>(LINES)));
    const int key = ::wgetch(stdscr);
    if (key != ERR && !answer(key, view, choice)) break;
    if (choice.paused || Clock::now() < next) continue;
    view.refresh();
    next = Clock::now() + interval;
  }
  return kDone;
}

}  // namespace

void add_top(CLI::App& app, Action& action) {
  struct Options {
    std::string topic;
    std::chrono::nanoseconds interval = 1s;
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("top", "Live view: rates, backlog, who holds whom back; q quits, ? explains");
  command->add_option("TOPIC", options->topic, "Begin with this one in detail");
  add_parsed(*command, "--interval", options->interval, parse_duration, "Between two looks (1s)")->type_name("TIME");
  command->callback([options, &action] {
    action = [options](const Place& place) { return top(place, options->topic, options->interval); };
  });
}

}  // namespace ringway::tool
