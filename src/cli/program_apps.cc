// Flags of the commands for apps, and of login and logout.
#include "cli/program_parts.h"

namespace sterna::cli {

void Program::add_apps() {
  CLI::App& login_command =
      add("login", "Keep an app's credentials for the server; the secret is asked for, or piped in",
          [p = parts_.get()] { return login(p->target, p->id); });
  login_command.add_option("--client-id", parts_->id, "The app")->type_name("ID")->required();
  add("logout", "Forget the credentials for the server", [p = parts_.get()] { return logout(p->target); });

  CLI::App& audit = add("audit", "Show who changed what, the newest first", [p = parts_.get()] {
    return show_audit(p->target, p->of_server ? OwnerOfApps::kServer : OwnerOfApps::kSpace,
                      p->invocations.limit);
  });
  audit.add_flag("--server", parts_->of_server, "In all spaces and on the server");
  audit.add_option("--limit", parts_->invocations.limit, "At most so many entries")
      ->type_name("N")
      ->check(whole_number_from_to(1, kMostListed))
      ->capture_default_str();

  CLI::App& group = parts_->add_group("apps", "Make, list, change, and delete what may ask for tokens");
  const auto add_one = [&](const std::string& name, const std::string& help, auto action) -> CLI::App& {
    CLI::App& command = parts_->add(group, name, help, [p = parts_.get(), action] {
      p->app_args.owner = p->of_server ? OwnerOfApps::kServer : OwnerOfApps::kSpace;
      return action(p->target, p->app_args);
    });
    command.add_flag("--server", parts_->of_server, "An app of the server, which reaches all spaces");
    return command;
  };
  const auto add_named = [&](const std::string& name, const std::string& help, auto action) -> CLI::App& {
    CLI::App& command = add_one(name, help, action);
    command.add_option("name", parts_->app_args.name, "The app's name or id")->type_name("APP")->required();
    return command;
  };
  const auto add_grant = [&](CLI::App& command) {
    command
        .add_option("--scope", parts_->app_args.scopes,
                    "What it may do: function.invoke, secret, ...; repeatable")
        ->type_name("SCOPE");
    command.add_option("--function", parts_->app_args.functions, "Only for this function; repeatable")
        ->type_name("FUNCTION");
    command.add_option("--description", parts_->app_args.description, "What it is for")->type_name("TEXT");
    command
        .add_option("--expires-at", parts_->app_args.expires_at, "RFC 3339 time after which it gets no token")
        ->type_name("TIME");
    command
        .add_option("--limit", parts_->app_args.limits,
                    "requests_per_second, burst or bytes_per_second = a number, none, or default; repeatable")
        ->type_name("KEY=VALUE");
  };
  CLI::App& create = add_named("create", "Make an app and print its secret, once", create_app);
  add_grant(create);
  create.get_option("--scope")->required();
  add_one("list", "List the apps of the space",
          [](const Target& target, const AppArgs& args) { return list_apps(target, args.owner); });
  add_named("get", "Show an app", get_app);
  CLI::App& update =
      add_named("update", "Change an app; its tokens are revoked when it may do something else", update_app);
  add_grant(update);
  const auto set_disabled = [p = parts_.get()](bool disabled) {
    return [p, disabled] { p->app_args.disabled = disabled; };
  };
  CLI::Option* disable =
      update.add_flag_callback("--disable", set_disabled(true), "Revoke its tokens and give it no more");
  update.add_flag_callback("--enable", set_disabled(false), "Give it tokens again")->excludes(disable);
  add_named("rotate", "Make another secret, revoke the app's tokens, print the secret once", rotate_app);
  add_named("delete", "Delete an app and revoke its tokens", delete_app);
}

}  // namespace sterna::cli
