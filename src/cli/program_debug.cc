// Flags of the commands that look behind the scenes.
#include "cli/program_parts.h"

namespace sterna::cli {

void Program::add_debug() {
  CLI::App& group = parts_->add_group("debug", "Look behind the scenes of a function");
  CLI::App& sandbox =
      parts_->add(group, "sandbox", "Show what a function's workers see and may use, and what enforces it",
                  [p = parts_.get()] { return show_sandbox(p->target, p->name); });
  sandbox.add_option("name", parts_->name, "The function")->type_name("FUNCTION")->required();
}

}  // namespace sterna::cli
