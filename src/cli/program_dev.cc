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
  command.add_option("path", args.path, "A handler file, or a folder with an optional function.toml")
      ->type_name("PATH")
      ->required();
  command.add_option("--name", args.overrides.name, "Name (default: function.toml, or the folder or file)")
      ->type_name("NAME");
  command.add_option("--template", args.overrides.template_name, "Template (default: by the file's ending)")
      ->type_name("TEMPLATE");
  command.add_option("--env", args.overrides.env, "KEY=value for the function's environment; repeatable")
      ->type_name("KEY=VALUE");
  command.add_option("--port", args.port, "Port on 127.0.0.1 of the server that it starts; 0: any")
      ->type_name("PORT")
      ->capture_default_str();
}

}  // namespace sterna::cli
