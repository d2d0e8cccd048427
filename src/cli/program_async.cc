// Flags of the commands for asynchronous invocations.
#include <cmath>

#include "cli/program_parts.h"

namespace sterna::cli {
namespace {

constexpr std::int64_t kYearSeconds = 366LL * 24 * 3600;

}  // namespace

void Program::add_async_flags(CLI::App& command) {
  InvokeArgs& args = parts_->invoke;
  CLI::Option* async = command.add_flag("--async", args.async,
                                        "Accept it durably, print its id and state, and end; always a POST");
  command.add_option("--callback", args.callback, "URL that the answer is POSTed to")
      ->type_name("URL")
      ->needs(async);
  command.add_flag("--wait", args.wait, "Wait for the end and print the answer")->needs(async);
  CLI::Option* delay =
      command.add_option("--delay", args.delay_seconds, "Seconds before it may run")->type_name("SECONDS");
  constexpr double kMaxDelaySeconds = 30 * 24 * 3600;
  delay->needs(async)->check(number_from_to(0, kMaxDelaySeconds));
  command.add_option("--not-before", args.not_before, "RFC 3339 time before which it must not run")
      ->type_name("TIME")
      ->needs(async)
      ->excludes(delay);
  command.add_option("--call-id", args.call_id, "A ULID of your own as its id")->type_name("ID");
  command
      .add_option("--idempotency-key", args.idempotency_key,
                  "The same key with the same body within 24 h runs once")
      ->type_name("KEY");
}

void Program::add_invocations() {
  CLI::App& group = parts_->add_group("invocations", "Watch, cancel, and replay asynchronous invocations");
  const auto add_one = [&](const std::string& name, const std::string& help,
                           std::function<Result<int>()> action) -> CLI::App& {
    CLI::App& command = parts_->add(group, name, help, std::move(action));
    command.add_option("name", parts_->name, "The function")->type_name("FUNCTION")->required();
    command.add_option("id", parts_->id, "The invocation: the id that invoke --async printed")
        ->type_name("INVOCATION")
        ->required();
    return command;
  };
  add_invocation_lists(group);
  add_one("get", "Show one: state, attempts, deliveries",
          [p = parts_.get()] { return get_invocation(p->target, p->name, p->id); });
  CLI::App& wait = add_one("wait", "Wait for the end of one", [p = parts_.get()] {
    std::optional<std::chrono::seconds> limit;
    if (p->wait_seconds) limit = std::chrono::seconds(*p->wait_seconds);
    return wait_invocation(p->target, p->name, p->id, limit);
  });
  wait.add_option("--timeout", parts_->wait_seconds, "Seconds to wait at most")
      ->type_name("SECONDS")
      ->check(whole_number_from_to(0, kYearSeconds));
  CLI::App& response = add_one("response", "Print the function's answer", [p = parts_.get()] {
    return show_response(p->target, p->name, p->id, p->show_head);
  });
  response.add_flag("-i,--include", parts_->show_head, "Print the answer's status and headers too");
  add_one("cancel", "Cancel one that is queued or running",
          [p = parts_.get()] { return cancel_invocation(p->target, p->name, p->id); });
  add_one("redrive", "Run a failed or expired one again",
          [p = parts_.get()] { return redrive_invocation(p->target, p->name, p->id); });
  add_one("redeliver", "Send the callback of one again",
          [p = parts_.get()] { return redeliver_invocation(p->target, p->name, p->id); });
}

void Program::add_invocation_lists(CLI::App& group) {
  InvocationsArgs& args = parts_->invocations;
  CLI::App& list = parts_->add(group, "list", "List a function's invocations, newest first",
                               [p = parts_.get()] { return list_invocations(p->target, p->invocations); });
  list.add_option("name", args.name, "The function")->type_name("FUNCTION")->required();
  list.add_option("--state", args.state, "Only in this state")
      ->type_name("STATE")
      ->check(CLI::IsMember({"queued", "running", "succeeded", "failed", "cancelled", "expired"}));
  list.add_option("--delivery", args.delivery, "Only with the callback's delivery like this")
      ->type_name("DELIVERY")
      ->check(CLI::IsMember({"none", "pending", "delivered", "undeliverable"}));
  list.add_option("--limit", args.limit, "How many at most")
      ->type_name("N")
      ->check(whole_number_from_to(1, kMostListed))
      ->capture_default_str();

  TailArgs& tail_args = parts_->tail_invocations;
  CLI::App& tail =
      parts_->add(group, "tail", "Show new ones and every change, until Ctrl-C", [p = parts_.get()] {
        p->tail_invocations.interval = std::chrono::milliseconds(std::llround(p->interval_seconds * 1000));
        return tail_invocations(p->target, p->tail_invocations);
      });
  tail.add_option("name", tail_args.name, "The function")->type_name("FUNCTION")->required();
  tail.add_option("--tail", tail_args.last, "How many older ones to show first")
      ->type_name("N")
      ->check(whole_number_from_to(0, 500))
      ->capture_default_str();
  tail.add_option("--interval", parts_->interval_seconds, "Seconds between two looks")
      ->type_name("SECONDS")
      ->check(number_from_to(0.05, 3600))
      ->capture_default_str();
}

void Program::add_listen() {
  ListenArgs& args = parts_->listen;
  CLI::App& command = parts_->add(parts_->app, "listen", "Receive callbacks on this machine and show them",
                                  [p = parts_.get()] { return listen(p->target, p->listen); });
  command.add_option("--port", args.port, "Port on 127.0.0.1; 0: any")
      ->type_name("PORT")
      ->check(port_number())
      ->capture_default_str();
  command
      .add_option("--secret", args.secrets,
                  "Signing secret; repeatable (default: the space's, from the server)")
      ->type_name("WHSEC")
      ->envname("STERNA_SIGNING_SECRET");
  command.add_option("--status", args.status, "Status to answer with")
      ->type_name("STATUS")
      ->check(whole_number_from_to(200, 599))
      ->capture_default_str();
  const auto store_count = [&args](const std::vector<std::string>& values) {
    std::uint64_t count = 1;
    const bool is_bare = values.empty() || values.front().empty();
    if (!is_bare && !CLI::detail::lexical_cast(values.front(), count)) return false;
    args.count = count;
    return true;
  };
  command.add_option("--once", store_count, "End after one, or after N")
      ->expected(0, 1)
      ->type_name("N")
      ->check(whole_number_from_to(1, kMostListed));
}

}  // namespace sterna::cli
