#include "cli/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>

#include "base/printable.h"
#include "cli/program_parts.h"
#include "cli/text.h"

namespace sterna::cli {

namespace {

int print_error(const Error& error, bool json) {
  if (json) {
    const api::OrderedJson problem = {{"reason", error.reason}, {"detail", error.detail}};
    print_to_stderr(fmt::format("{}\n", api::dump(problem)));
  } else {
    print_to_stderr(fmt::format("sterna: {}\n", printable(error.detail)));
  }
  return exit_code_of(error);
}

// What was written in the place of a command, or beside those that a command knows; empty: nothing. A command
// that is missing is complained about before the words that nobody has asked for are.
std::string unknown_word(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> words = app.remaining(true);
  if (error.get_name() != "RequiredError" || words.empty()) return {};
  const std::string& word = words.front();
  return fmt::format("there is no {} '{}'; sterna --help lists them",
                     word.starts_with('-') ? "flag" : "command", word);
}

}  // namespace

Program::Program() : parts_(std::make_unique<Parts>()) {
  CLI::App& app = parts_->app;
  Target& target = parts_->target;
  app.name("sterna");
  app.require_subcommand(1);
  app.fallthrough();  // the global flags may stand after the subcommand too
  app.set_version_flag("--version", "sterna " STERNA_VERSION);
  app.add_option("--url", target.url, "The server")
      ->type_name("URL")
      ->envname("STERNA_URL")
      ->capture_default_str();
  app.add_option("--space", target.space, "The space")
      ->type_name("SPACE")
      ->envname("STERNA_SPACE")
      ->capture_default_str();
  app.add_option("--token", target.token,
                 "Access token; sterna login and STERNA_CLIENT_ID with STERNA_CLIENT_SECRET get one")
      ->type_name("TOKEN")
      ->envname("STERNA_TOKEN");
  app.add_option("--ca-file", target.ca_file, "PEM file with the authorities that vouch for an https server")
      ->type_name("FILE")
      ->envname("STERNA_CA_FILE");
  app.add_flag("--json", target.json, "Print JSON, errors too");
  add_deploy();
  add_dev();
  add_invoke();
  add_invocations();
  add_listen();
  add_functions();
  add_logs();
  add_spaces();
  add_secrets();
  add_apps();
  add_versions();
  add_init();
  add_builds();
  add_debug();
  add_shell();

  add("version", "Print the version", [this]() -> Result<int> {
    if (parts_->target.json) {
      print_json({{"version", STERNA_VERSION}});
    } else {
      print("sterna " STERNA_VERSION "\n");
    }
    return kExitOk;
  });
}

Program::~Program() = default;

CLI::App& Program::add(const std::string& name, const std::string& help,
                       std::function<Result<int>()> action) {
  return parts_->add(parts_->app, name, help, std::move(action));
}

CLI::App& Program::Parts::add(CLI::App& group, const std::string& command_name, const std::string& help,
                              std::function<Result<int>()> action) {
  CLI::App* command = group.add_subcommand(command_name, help);
  command->callback([this, action = std::move(action)] { chosen = action; });
  return *command;
}

CLI::App& Program::Parts::add_group(const std::string& group_name, const std::string& help) {
  CLI::App* group = app.add_subcommand(group_name, help);
  group->require_subcommand(1);
  return *group;
}

void Program::Parts::add_code_flags(CLI::App& command, std::filesystem::path& path,
                                    DeployOverrides& overrides) {
  command.add_option("path", path, "A handler file, or a folder with an optional function.toml")
      ->type_name("PATH")
      ->required();
  command.add_option("--name", overrides.name, "Name (default: function.toml, or the folder or file)")
      ->type_name("NAME");
  command.add_option("--template", overrides.template_name, "Template (default: by the file's ending)")
      ->type_name("TEMPLATE");
  command.add_option("--env", overrides.env, "KEY=value for the function's environment; repeatable")
      ->type_name("KEY=VALUE");
}

void Program::add_deploy() {
  DeployArgs& args = parts_->deploy;
  CLI::App& command = add("deploy", "Create or replace a function from a file or a folder", [this] {
    parts_->deploy.timeout = std::chrono::seconds(parts_->timeout_seconds);
    return deploy(parts_->target, parts_->deploy);
  });
  parts_->add_code_flags(command, args.path, args.overrides);
  command
      .add_option("--timeout", parts_->timeout_seconds,
                  "Seconds to wait until it is Running, once it is built")
      ->type_name("SECONDS")
      ->check(whole_number_from_to(1, 3600))
      ->capture_default_str();
  command
      .add_option("--traffic", args.traffic_percent,
                  "Percent of the calls for the new version; the active one keeps the others (default: all)")
      ->type_name("PERCENT")
      ->check(whole_number_from_to(1, 100));
  command.add_flag("--no-wait", args.no_wait, "Do not wait until it is Running");
  command.add_flag("-q,--quiet", args.quiet, "Print only errors");
}

void Program::add_invoke() {
  InvokeArgs& args = parts_->invoke;
  CLI::App& command = add("invoke", "Call a function and print its answer",
                          [this] { return invoke(parts_->target, parts_->invoke); });
  command.add_option("name", args.name, "The function")->type_name("FUNCTION")->required();
  command.add_option("-d,--data", args.data, "Request body; @file reads it, @- from standard input")
      ->type_name("BODY");
  command.add_option("-X,--method", args.method, "Method (default: GET, with a body POST)")
      ->type_name("METHOD");
  command.add_option("-p,--path", args.path, "Path and query for the function: /a/b?x=1")->type_name("/PATH");
  command.add_option("-H,--header", args.headers, "'Name: value'; repeatable")->type_name("HEADER");
  command.add_flag("-i,--include", args.show_head, "Print the answer's status and headers too");
  add_async_flags(command);
}

void Program::add_functions() {
  const auto add_named = [this](const std::string& name, const std::string& help,
                                Result<int> (*action)(const Target&, std::string_view)) -> CLI::App& {
    CLI::App& command = add(name, help, [this, action] { return action(parts_->target, parts_->name); });
    command.add_option("name", parts_->name, "The function")->type_name("FUNCTION")->required();
    return command;
  };
  add("list", "List the functions of the space", [this] { return list_functions(parts_->target); });
  add_named("get", "Show a function", get_function);
  add_named("delete", "Delete a function", delete_function);
  add_named("stop", "Stop a function: it answers 503 until it is started", stop_function);
  add_named("start", "Start a stopped or failed function", start_function);
  CLI::App& back = add("rollback", "Make a new version from an old one",
                       [this] { return rollback(parts_->target, parts_->name, parts_->version); });
  back.add_option("name", parts_->name, "The function")->type_name("FUNCTION")->required();
  Parts::add_version(back, "version", parts_->version, "Number of the old version");
  CLI::App& shares = add("traffic", "Show or change which versions get how much of the calls",
                         [this] { return traffic(parts_->target, parts_->name, parts_->share); });
  shares.add_option("name", parts_->name, "The function")->type_name("FUNCTION")->required();
  shares.add_option(
      "share", parts_->share,
      "VERSION=PERCENT: that version gets so much, the active one the others; 100 makes it the active one");
}

void Program::add_init() {
  InitArgs& args = parts_->init;
  CLI::App& command = add("init", "Make a folder with a handler and a function.toml",
                          [this] { return init(parts_->target, parts_->init); });
  command.add_option("folder", args.folder, "The folder; its name is the function's")
      ->type_name("FOLDER")
      ->required();
  command.add_option("--template", args.template_name, "Template")
      ->type_name("TEMPLATE")
      ->capture_default_str();
}

void Program::add_logs() {
  LogsArgs& args = parts_->logs;
  CLI::App& command =
      add("logs", "Show what a function wrote", [this] { return show_logs(parts_->target, parts_->logs); });
  command.add_option("name", args.name, "The function")->type_name("FUNCTION")->required();
  CLI::Option* follow = command.add_flag("-f,--follow", args.follow, "Go on with new lines as they come");
  command.add_flag("--invocations", args.invocations, "Show each invocation as it ends, too")->needs(follow);
  command.add_option("--tail", args.tail, "Only the last lines")
      ->type_name("N")
      ->check(whole_number_from_to(0, kMostLines));
  command.add_option("--since", args.since, "Only after: 90s, 10m, 2h, 1d ago, or an RFC 3339 time")
      ->type_name("TIME");
  command.add_option("--call-id", args.call_id, "Only of this call")->type_name("ID");
}

void Program::add_spaces() {
  CLI::App& group = parts_->add_group("spaces", "List, create, change, and delete spaces");
  parts_->add(group, "list", "List all spaces", [this] { return list_spaces(parts_->target); });
  const auto add_one = [&](const std::string& name, const std::string& help,
                           std::function<Result<int>()> action) -> CLI::App& {
    CLI::App& command = parts_->add(group, name, help, std::move(action));
    command.add_option("name", parts_->name, "The space")->type_name("SPACE")->required();
    return command;
  };
  add_one("get", "Show a space", [this] { return get_space(parts_->target, parts_->name); });
  add_one("create", "Create a space", [this] { return create_space(parts_->target, parts_->name); });
  CLI::App& remove = add_one("delete", "Delete a space", [this] {
    const auto mode = parts_->force ? DeleteSpace::kWithFunctions : DeleteSpace::kOnlyEmpty;
    return delete_space(parts_->target, parts_->name, mode);
  });
  remove.add_flag("--force", parts_->force, "Delete its functions too");
  const auto set_targets = [this]() -> Result<int> {
    const auto& targets = parts_->callback_allow;
    if (targets.empty() && !parts_->clear)
      return bad_usage("name targets, such as 10.20.0.0/16 or hooks.internal, or --clear for none");
    return set_callback_allow(parts_->target, parts_->name, targets);
  };
  CLI::App& allow =
      add_one("callback-allow", "Set the private targets that its callbacks may go to", set_targets);
  CLI::Option* targets =
      allow.add_option("target", parts_->callback_allow, "CIDRs or host names")->type_name("TARGET");
  CLI::Option* clear = allow.add_flag("--clear", parts_->clear, "Allow none");
  targets->excludes(clear);
  CLI::App& limits = add_one("limits", "Show what a space may use, or change it",
                             [this] { return limit_space(parts_->target, parts_->name, parts_->limits); });
  limits
      .add_option("limit", parts_->limits,
                  "requests_per_second, burst, bytes_per_second, functions, replicas, memory_mb, backlog, "
                  "code_bytes, secrets or apps = a number, none, or default")
      ->type_name("KEY=VALUE");
  CLI::App& secret = add_one("signing-secret", "Show what its callbacks are signed with", [this] {
    return show_signing_secret(parts_->target, parts_->name,
                               parts_->rotate ? SigningSecret::kRotate : SigningSecret::kShow);
  });
  secret.add_flag("--rotate", parts_->rotate, "Make a new one first; the old one stays valid for a while");
}

// What was printed is done only when it has arrived.
int Program::run(int argc, const char* const* argv) {
  const int status = run_command(argc, argv);
  const bool flushed = std::fflush(stdout) == 0;
  const std::string why = flushed ? "" : fmt::format(": {}", std::strerror(errno));
  if ((flushed && std::ferror(stdout) == 0) || status != kExitOk) return status;
  const Error lost{Code::kIo, Component::kGateway, "output_lost", "the output could not be written" + why};
  return print_error(lost, parts_->target.json);
}

int Program::run_command(int argc, const char* const* argv) {
  constexpr int kCommand = 1;
  if (argc > kCommand && std::string_view(argv[kCommand]) == "complete")
    return complete_line(argc - kCommand - 1, argv + kCommand + 1);
  try {
    parts_->app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const auto words = std::span(argv, static_cast<std::size_t>(argc));
    const bool as_json = std::ranges::find(words, std::string_view("--json")) != words.end();
    if (const std::string unknown = unknown_word(parts_->app, error); !unknown.empty())
      return print_error(bad_usage(unknown).error(), as_json);
    if (as_json && error.get_exit_code() != 0) return print_error(bad_usage(error.what()).error(), as_json);
    const int status = parts_->app.exit(error);
    return status == 0 ? kExitOk : kExitUsage;  // 0: --help and --version
  }
  while (parts_->target.url.ends_with('/')) parts_->target.url.pop_back();  // addresses are made from it
  try {
    const auto done = parts_->chosen();
    return done ? *done : print_error(done.error(), parts_->target.json);
  } catch (const api::Json::exception& error) {  // JSON, but not what was asked for
    const std::string detail =
        fmt::format("{} did not answer as a Sterna server does ({}); is it one, and as new as this program?",
                    parts_->target.url, error.what());
    return print_error(fail(Code::kInternal, Component::kGateway, "broken_answer", detail).error(),
                       parts_->target.json);
  }
}

}  // namespace sterna::cli
