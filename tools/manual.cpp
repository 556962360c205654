// The man page and the shells' completion, from the same definitions that parse the command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli.hpp"

namespace ringway::tool {
namespace {

std::string escaped(std::string_view text) {  // for roff
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n'))
      out += fmt::format("\\&{}", c);
    else
      out += c;
  }
  return out;
}

// Those a user may name.
std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  std::vector<const CLI::App*> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) commands.push_back(command);
  return commands;
}

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  std::vector<const CLI::Option*> options;
  for (const CLI::Option* option : app.get_options([](const CLI::Option*) { return true; }))
    if (!option->get_group().empty()) options.push_back(option);
  return options;
}

std::string option_name(const CLI::Option& option) {
  std::string name = option.get_positional() ? option.get_name() : option.get_name(false, true);
  if (!option.get_positional() && option.get_items_expected_max() > 0 && !option.get_type_name().empty())
    name += " " + option.get_type_name();
  return name;
}

void describe_options(const CLI::App& app, std::string& page) {
  for (const CLI::Option* option : options_of(app)) {
    if (option->get_name().starts_with("--help")) continue;
    page += fmt::format(".TP\n.B {}\n{}\n", escaped(option_name(*option)), escaped(option->get_description()));
  }
}

void describe_command(const CLI::App& command, const std::string& before, std::string& page) {
  const std::string name = before + command.get_name();
  const auto inner = commands_of(command);
  if (inner.empty()) {
    page += fmt::format(".SS {}\n{}.\n", escaped(name), escaped(command.get_description()));
    describe_options(command, page);
    if (!command.get_footer().empty()) page += fmt::format(".PP\n.nf\n{}\n.fi\n", escaped(command.get_footer()));
  }
  for (const CLI::App* one : inner) describe_command(*one, name + " ", page);
}

std::string man_page(const CLI::App& app) {
  std::string page = fmt::format(
      ".TH RINGWAY 1 \"\" \"ringway {}\" \"User Commands\"\n.SH NAME\nringway \\- {}\n.SH SYNOPSIS\n"
      ".B ringway\n[\\-\\-bus NAME | \\-\\-dir PATH] COMMAND [ARGUMENT...]\n.SH OPTIONS\n",
      RINGWAY_VERSION, escaped(app.get_description()));
  describe_options(app, page);
  page += ".SH COMMANDS\n";
  for (const CLI::App* command : commands_of(app)) describe_command(*command, "", page);
  page += fmt::format(
      ".SH NOTES\n{}\n.SH ENVIRONMENT\n.TP\n.B RINGWAY_DIR\nThe bus directory, unless \\-\\-bus or "
      "\\-\\-dir says otherwise.\n.TP\n.B NO_COLOR\nNo colours, also on a terminal.\n",
      escaped(app.get_footer()));
  return page;
}

// "pub sub ..." / "--json --watch ..."
std::string words_of(const CLI::App& app) {
  std::string words;
  for (const CLI::App* command : commands_of(app)) words += command->get_name() + ' ';
  for (const CLI::Option* option : options_of(app))
    for (const std::string& name : option->get_lnames()) words += fmt::format("--{} ", name);
  return words;
}

bool takes_topic(const CLI::App& command) {
  const auto options = options_of(command);
  return std::any_of(options.begin(), options.end(),
                     [](const CLI::Option* option) { return option->get_name() == "TOPIC"; });
}

// After a command's words: its flags, and the topics of the bus where it takes one.
void bash_cases(const CLI::App& app, const std::string& before, std::string& text) {
  for (const CLI::App* command : commands_of(app)) {
    const std::string name = before + command->get_name();
    text +=
        fmt::format("    \"{}\") words='{}' topics={} ;;\n", name, words_of(*command), takes_topic(*command) ? 1 : 0);
    bash_cases(*command, name + " ", text);
  }
}

std::string bash_completion(const CLI::App& app) {
  std::string cases;
  bash_cases(app, "", cases);
  return R"sh(# Completion of the ringway command for bash; zsh reads it through bashcompinit. Generated.
_ringway() {
  local current=${COMP_WORDS[COMP_CWORD]} command= words topics=0 word place=()
  for ((word = 1; word < COMP_CWORD; ++word)); do
    case ${COMP_WORDS[word]} in
      --bus | --dir) place=("${COMP_WORDS[word]}" "${COMP_WORDS[word + 1]}"); ((++word)) ;;
      -*) ;;
      *) if [[ -z $command || $command == subscription ]]; then command+=${command:+ }${COMP_WORDS[word]}; fi ;;
    esac
  done
  case $command in
    "") words=')sh" +
         words_of(app) +
         R"sh(' ;;
)sh" + cases +
         R"sh(    *) words='' ;;
  esac
  if ((topics)) && [[ $current != -* ]]; then
    words+=" $(ringway "${place[@]}" ls 2>/dev/null | tail -n +2 | cut -d ' ' -f 1)"
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _ringway ringway
)sh";
}

std::string zsh_completion(const CLI::App& app) {
  return "#compdef ringway\nautoload -U +X bashcompinit && bashcompinit\n" + bash_completion(app);
}

}  // namespace

void add_manual(CLI::App& app, Action& action) {
  auto what = std::make_shared<std::string>();
  auto* command = app.add_subcommand("manual", "The man page or a shell's completion");
  command->group("");
  command->add_option("WHAT", *what, "man, bash, zsh")->required()->check(CLI::IsMember({"man", "bash", "zsh"}));
  command->callback([what, &app, &action] {
    action = [what, &app](const Place&) {
      print(*what == "man" ? man_page(app) : *what == "bash" ? bash_completion(app) : zsh_completion(app));
      return kDone;
    };
  });
}

}  // namespace ringway::tool
