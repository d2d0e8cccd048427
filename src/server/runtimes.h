// Which templates this machine can run, and how the zygote of each runtime is started.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "launch/zygote_launcher.h"
#include "registry/function.h"
#include "server/config.h"

namespace sterna::server {

struct Runtimes {
  std::vector<std::string> templates;                      // accepted names, aliases too
  std::map<std::string, launch::RuntimeCommand> commands;  // by runtime
  std::map<std::string, std::string> runtime_of;           // by template
  std::map<std::string, std::string> interpreters;         // paths, by runtime; of those that have one
  bool has_wheels = false;                                 // builds see the folder of wheels

  // Every interpreter of `config.python` gives `python3.N-http`; the first one is `python3-http` too. Those
  // of `config.node`, which are asked for their version, give `nodeN-http`, the first one `node-http`. The
  // native runtime gives the templates that need no interpreter, and the one that builds run in. Interpreters
  // that cannot be used are left out and named in `warnings`.
  static Runtimes find(const Config& config, std::vector<std::string>& warnings);
};

// The pool's view of a version, whose files are in `bundle_dir`. One that was stored when more was allowed is
// refused.
pool::FunctionConfig config_of(const registry::Function& function, const registry::Version& version,
                               const std::string& bundle_dir, const Runtimes& runtimes, const Config& server);

}  // namespace sterna::server
