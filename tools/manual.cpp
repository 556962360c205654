// The man page and the shells' completion, from the same definitions that parse the command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli.hpp"
#include "man_page.hpp"

namespace ringway::tool {
namespace {

const Manual kManual = {
    .synopsis = "[--bus NAME | --dir PATH] COMMAND [ARGUMENT...]",
    .environment = {{"RINGWAY_DIR", "The bus directory, unless --bus or --dir says otherwise."},
                    {"NO_COLOR", "No colours in `top`."},
                    {"TERM", "What kind of terminal this is; `dumb`: nothing is painted in place."}},
    .more = {},
    .see_also = "ringwayd(1)",
};

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

// The file is the body of a function that compinit loads at the first completion, which its last line then answers.
std::string zsh_completion(const CLI::App& app) {
  return "#compdef ringway\nautoload -U +X bashcompinit && bashcompinit\n" + bash_completion(app) +
         "_bash_complete -F _ringway\n";
}

}  // namespace

void add_manual(CLI::App& app, Action& action) {
  auto what = std::make_shared<std::string>();
  auto* command = app.add_subcommand("manual", "The man page or a shell's completion");
  command->group("");
  command->add_option("WHAT", *what, "man, bash, zsh")->required()->check(CLI::IsMember({"man", "bash", "zsh"}));
  command->callback([what, &app, &action] {
    action = [what, &app](const Place&) {
      print(*what == "man" ? man_page(app, kManual) : *what == "bash" ? bash_completion(app) : zsh_completion(app));
      return kDone;
    };
  });
}

}  // namespace ringway::tool
