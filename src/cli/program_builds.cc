// Flags of the commands for builds.
#include "cli/program_parts.h"

namespace sterna::cli {

void Program::add_builds() {
  CLI::App& group = parts_->add_group("builds", "Show what the builds of a function printed");
  BuildLogsArgs& args = parts_->build_logs;
  CLI::App& logs = parts_->add(group, "logs", "Show the log of a version's build",
                               [p = parts_.get()] { return show_build_logs(p->target, p->build_logs); });
  logs.add_option("name", args.name, "The function")->type_name("FUNCTION")->required();
  logs.add_option("version", args.version, "Its number (default: the newest)")
      ->type_name("VERSION")
      ->check(version_number());
  logs.add_flag("-f,--follow", args.follow, "Go on with new lines until the build ends");
}

}  // namespace sterna::cli
