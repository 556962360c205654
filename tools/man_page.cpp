#include "man_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace ringway::tool {
namespace {

std::string escaped(std::string_view text) {  // for roff
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '"')
      out += "\\(dq";
    else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n'))
      out += fmt::format("\\&{}", c);
    else
      out += c;
  }
  return out;
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

void describe_terms(const Manual::Terms& terms, std::string& page) {
  for (const auto& [term, text] : terms) page += fmt::format(".TP\n.B {}\n{}\n", escaped(term), escaped(text));
}

void add_section(const Manual::Section& section, std::string& page) {
  page += fmt::format(".SH {}\n", section.title);
  if (!section.text.empty()) page += escaped(section.text) + '\n';
  describe_terms(section.terms, page);
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

}  // namespace

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

std::string man_page(const CLI::App& app, const Manual& manual) {
  const std::string& name = app.get_name();
  std::string what = app.get_description();  // "Name: what it is."
  if (upper(what).starts_with(upper(name) + ": ")) what.erase(0, name.size() + 2);
  std::string page = fmt::format(
      ".TH {} 1 \"\" \"ringway {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n{}\n.SH OPTIONS\n",
      upper(name), RINGWAY_VERSION, name, escaped(what), name, escaped(manual.synopsis));
  describe_options(app, page);
  if (const auto commands = commands_of(app); !commands.empty()) {
    page += ".SH COMMANDS\n";
    for (const CLI::App* command : commands) describe_command(*command, "", page);
  }
  for (const Manual::Section& section : manual.more) add_section(section, page);
  if (!app.get_footer().empty()) page += fmt::format(".SH NOTES\n.nf\n{}\n.fi\n", escaped(app.get_footer()));
  if (!manual.environment.empty()) add_section({"ENVIRONMENT", "", manual.environment}, page);
  page += fmt::format(".SH SEE ALSO\n{}\n", escaped(manual.see_also));
  return page;
}

}  // namespace ringway::tool
