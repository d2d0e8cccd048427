#include "cli/completion.h"

#include <algorithm>

#include "api/templates.h"

namespace sterna::cli {
namespace {

// Reads the words before the one that is typed.
class Reader {
 public:
  Reader(const CommandNode& root, const Target& defaults) : nodes_{&root} { context.target = defaults; }

  void take(const std::string& word) {
    if (pending_ != nullptr) return keep(*std::exchange(pending_, nullptr), word);
    if (word.starts_with('-') && word.size() > 1) return take_flag(word);
    if (const CommandNode* const command = node().find(word);
        command != nullptr && context.positionals.empty()) {
      nodes_.push_back(command);
    } else {
      context.positionals.push_back(word);
    }
  }

  const CommandNode& node() const { return *nodes_.back(); }
  // The flag whose value comes next; null: none.
  const Flag* pending() const { return pending_; }

  // Of the command, and of those above it.
  const Flag* find_flag(std::string_view name) const {
    for (const CommandNode* each : nodes_) {
      if (const Flag* const flag = each->find_flag(name)) return flag;
    }
    return nullptr;
  }

  std::vector<const Flag*> flags() const {
    std::vector<const Flag*> all;
    for (auto each = nodes_.rbegin(); each != nodes_.rend(); ++each) {
      for (const Flag& flag : (*each)->flags) all.push_back(&flag);
    }
    return all;
  }

  ValueContext context;

 private:
  void take_flag(const std::string& word) {
    const auto equals = word.find('=');
    const Flag* const flag = find_flag(word.substr(0, equals));
    if (flag == nullptr || flag->value.empty()) return;
    if (equals != std::string::npos) return keep(*flag, word.substr(equals + 1));
    if (!flag->optional_value) pending_ = flag;
  }

  void keep(const Flag& flag, const std::string& value) {
    const auto is = [&](std::string_view name) {
      return std::ranges::find(flag.names, name) != flag.names.end();
    };
    if (is("--url")) context.target.url = value;
    if (is("--space")) context.target.space = value;
    if (is("--token")) context.target.token = value;
    if (is("--ca-file")) context.target.ca_file = value;
  }

  std::vector<const CommandNode*> nodes_;  // from the program to the command
  const Flag* pending_ = nullptr;
};

class Offer {
 public:
  explicit Offer(std::string_view prefix) : prefix_(prefix) {}

  // `lead` stands before each word: "--state=".
  void add(std::string word, std::string help, std::string_view lead = {}) {
    word.insert(0, lead);
    if (word.starts_with(prefix_)) made.candidates.push_back({std::move(word), std::move(help)});
  }

  void add_values(const std::vector<std::string>& choices, std::string_view kind, const ValueContext& context,
                  const ValueSource& values, std::string_view lead = {}) {
    for (const std::string& choice : choices) add(choice, {}, lead);
    if (kind == "PATH" || kind == "FILE") made.files = Files::kAll;
    if (kind == "FOLDER") made.files = Files::kFolders;
    for (const api::Template& row : api::templates()) {
      if (kind == "TEMPLATE") add(std::string(row.name), {}, lead);
    }
    for (Candidate& value : values(kind, context)) add(std::move(value.word), std::move(value.help), lead);
  }

  Completion made;

 private:
  std::string_view prefix_;
};

}  // namespace

Completion complete(const CommandNode& root, std::span<const std::string> words, const Target& defaults,
                    const ValueSource& values) {
  Reader reader(root, defaults);
  const std::string word = words.empty() ? std::string() : words.back();
  for (const std::string& before : words.first(words.empty() ? 0 : words.size() - 1)) reader.take(before);

  Offer offer(word);
  if (const Flag* const flag = reader.pending()) {
    offer.add_values(flag->choices, flag->value, reader.context, values);
    return std::move(offer.made);
  }
  if (const auto equals = word.find('='); word.starts_with("--") && equals != std::string::npos) {
    const Flag* const flag = reader.find_flag(word.substr(0, equals));
    if (flag != nullptr)
      offer.add_values(flag->choices, flag->value, reader.context, values, word.substr(0, equals + 1));
    return std::move(offer.made);
  }
  if (word.starts_with('-')) {
    for (const Flag* flag : reader.flags()) {
      for (const std::string& name : flag->names) offer.add(name, flag->help);
    }
    offer.add("--help", "Print the command's flags");
    return std::move(offer.made);
  }
  for (const CommandNode& command : reader.node().commands) offer.add(command.name, command.help);
  const auto& positionals = reader.node().positionals;
  if (positionals.empty()) return std::move(offer.made);
  const std::size_t at = reader.context.positionals.size();
  if (at < positionals.size() || positionals.back().repeated) {
    const Positional& next = positionals[std::min(at, positionals.size() - 1)];
    offer.add_values({}, next.value, reader.context, values);
  }
  return std::move(offer.made);
}

std::vector<Candidate> values_of_server(std::string_view kind, const ValueContext& context) {
  struct Source {
    std::string_view kind;
    std::string_view list;  // below the space, or {fn}
    const char* word;
    const char* help;
  };
  constexpr Source kSources[] = {{"FUNCTION", "functions", "name", "template"},
                                 {"SECRET", "secrets", "name", "updated_at"},
                                 {"APP", "apps", "name", "description"},
                                 {"SPACE", "", "name", ""},
                                 {"VERSION", "{fn}/versions", "version", "created_at"},
                                 {"INVOCATION", "{fn}/invocations", "id", "state"}};
  const auto* const source = std::ranges::find(kSources, kind, &Source::kind);
  if (source == std::end(kSources)) return {};
  auto space = space_path(context.target);
  if (!space) return {};
  std::string path = source->list.empty() ? "/spaces" : *space + "/" + std::string(source->list);
  if (source->list.starts_with("{fn}")) {
    if (context.positionals.empty()) return {};
    auto function = function_path(context.target, context.positionals.front());
    if (!function) return {};
    path = *function + std::string(source->list.substr(4));
  }
  constexpr std::size_t kOffered = 200;
  Api api(context.target);
  HttpRequest request = api.request("GET", path + "?limit=" + std::to_string(kOffered));
  request.timeout = std::chrono::seconds(1);
  const auto reply = api.fetch(request);
  if (!reply || reply->head.status != 200) return {};
  const auto json = api::parse_json(reply->body);
  std::vector<Candidate> found;
  if (!json || !json->is_object() || !json->contains("data")) return found;
  const auto text_of = [](const api::Json& item, const char* field) {
    const auto value = item.find(field);
    if (value == item.end()) return std::string();
    return value->is_string() ? value->get<std::string>() : api::dump(*value);
  };
  for (const api::Json& item : (*json)["data"]) {
    if (item.is_object()) found.push_back({text_of(item, source->word), text_of(item, source->help)});
  }
  return found;
}

}  // namespace sterna::cli
