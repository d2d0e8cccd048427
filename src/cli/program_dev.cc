// Flags of dev.
#include "cli/program_parts.h"

namespace sterna::cli {

void Program::add_dev() {
  DevArgs& args = parts_->dev;
  CLI::App& command =
      add("dev", "Serve a folder, reload it when a file is saved, show its logs and timings", [this] {
        // Somebody who names a server means it.
        parts_->dev.own_server = parts_->app.get_option("--url")->count() == 0;
        return dev(parts_->target, parts_->dev);
      });
  parts_->add_code_flags(command, args.path, args.overrides);
  command.add_option("--port", args.port, "Port on 127.0.0.1 of the server that it starts; 0: any")
      ->type_name("PORT")
      ->check(port_number())
      ->capture_default_str();
}

}  // namespace sterna::cli
