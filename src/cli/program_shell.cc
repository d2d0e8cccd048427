// What shells and the reference ask of the program: completion, and its own commands as a document.
#include <cstdlib>
#include <fstream>
#include <span>

#include "cli/completion.h"
#include "cli/program_parts.h"
#include "cli/reference.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

// The global flags' variables; flags that are typed come before them.
Target target_of_environment(const CommandNode& root, Target target) {
  const auto take = [&](std::string_view name, std::string& field) {
    const Flag* const flag = root.find_flag(name);
    const char* const value = flag == nullptr ? nullptr : std::getenv(flag->variable.c_str());
    if (value != nullptr && *value != '\0') field = value;
  };
  take("--url", target.url);
  take("--space", target.space);
  take("--token", target.token);
  take("--ca-file", target.ca_file);
  return target;
}

Result<int> rewrite_reference(const std::filesystem::path& file, const CommandNode& root) {
  constexpr std::size_t kMaxBytes = 16U << 20;
  const auto text = read_file(file, kMaxBytes);
  if (!text) return std::unexpected(text.error());
  const auto written = with_reference(*text, root);
  if (!written) return std::unexpected(written.error());
  std::ofstream out(file, std::ios::binary);
  out << *written;
  out.close();
  if (!out) return bad_usage(file.native() + " cannot be written");
  return kExitOk;
}

}  // namespace

void Program::add_shell() {
  CLI::App& completion =
      add("completion", "Print a shell's completion script: source <(sterna completion bash)", [this] {
        print(completion_script(parts_->shell));
        return Result<int>(kExitOk);
      });
  completion.add_option("shell", parts_->shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  CLI::App& reference = add("reference", "Rewrite the flags in a copy of docs/cli.md", [this] {
    return rewrite_reference(parts_->reference, command_tree(parts_->app));
  });
  reference.add_option("file", parts_->reference, "The document")->required();
  reference.group("");  // for the makers of this program
}

// Not one of the commands: what follows is no flag of ours, but a line that somebody is typing.
int Program::complete_line(int argc, const char* const* argv) {
  std::vector<std::string> words(argv, argv + argc);
  if (!words.empty() && words.front() == "--") words.erase(words.begin());
  const CommandNode root = command_tree(parts_->app);
  const Completion found =
      complete(root, words, target_of_environment(root, parts_->target), values_of_server);
  for (const Candidate& each : found.candidates) {
    print(each.help.empty() ? each.word + "\n" : each.word + "\t" + each.help + "\n");
  }
  if (found.files == Files::kAll) print(":files\n");
  if (found.files == Files::kFolders) print(":folders\n");
  return kExitOk;
}

}  // namespace sterna::cli
