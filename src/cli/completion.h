// What a shell may offer for the word that is being typed. The shells' scripts (completion/) only ask for it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_tree.h"
#include "cli/commands.h"

namespace sterna::cli {

struct Candidate {
  std::string word;
  std::string help;  // may be empty

  bool operator==(const Candidate&) const = default;
};

enum class Files : std::uint8_t { kNone, kAll, kFolders };

struct Completion {
  std::vector<Candidate> candidates;  // that begin as the word does
  Files files = Files::kNone;         // the shell adds its own
};

// What the words before mean for a value: which server, space and function it is looked for in.
struct ValueContext {
  Target target;
  std::vector<std::string> positionals;  // before the word
};

// The values of a kind, e.g. "FUNCTION": those that the server knows. Empty when it does not answer soon.
using ValueSource = std::function<std::vector<Candidate>(std::string_view kind, const ValueContext& context)>;

// `words` are those after the program's name; the last one is being completed and may be empty.
Completion complete(const CommandNode& root, std::span<const std::string> words, const Target& defaults,
                    const ValueSource& values);

// Asks the server, for a second at most.
std::vector<Candidate> values_of_server(std::string_view kind, const ValueContext& context);

// The script of "bash", "zsh" or "fish".
std::string_view completion_script(std::string_view shell);

}  // namespace sterna::cli
