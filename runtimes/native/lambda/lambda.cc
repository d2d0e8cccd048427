#include "native/lambda/lambda.h"

#include <fmt/format.h>

#include <optional>

#include "base/clock.h"
#include "base/last_words.h"
#include "native/end.h"
#include "native/lambda/api_server.h"
#include "native/lambda/lambda_environment.h"
#include "native/lambda/runtime_api.h"
#include "native/program_process.h"

namespace sterna::native {
namespace {

// AWS' own, in a network of the worker's own; in the machine's network a free one.
constexpr std::uint16_t kPort = 9001;
// How long a program may take until it asks for its first invocation; below the pool's own 30 s for a start,
// so that the reason is told.
constexpr Duration kStartTimeout = std::chrono::seconds(25);
// How long a call waits for a program that has answered the one before and does not ask for more. Until then
// the call can be given to another worker, when the program ends; then its time begins to run.
constexpr Duration kNextGrace = std::chrono::seconds(1);

LambdaFunction function_of(const Init& init) {
  return {.source = {.function = init.function, .space = init.space},
          .arn = function_arn(init),
          .timeout = init.timeout,
          .concurrency = init.concurrency};
}

class LambdaServing final : public RunMaker {
 public:
  LambdaServing(net::Loop& loop, const Init& init, worker::Channel& channel)
      : loop_(loop),
        init_(init),
        channel_(channel),
        api_(loop, function_of(init),
             {.on_next = [this] { on_next(); },
              .on_init_error = [this](const ReportedError& error) { refuse(error); },
              .before_answer = [this] { process_->drain(); },
              .on_idle = [this] { on_idle(); }}),
        desk_(loop, channel, init.concurrency, *this) {}
  ~LambdaServing() override {
    loop_.cancel(start_timer_);
    loop_.cancel(next_timer_);
  }

  int run() {
    begin();
    if (!exit_code_) loop_.run();
    return exit_code_.value_or(0);
  }

  std::unique_ptr<Run> start(Exchange& exchange) override { return api_.start(exchange); }

  bool can_start() override {
    if (ended_with_) return false;
    if (api_.is_asked() || grace_over_) return true;
    if (next_timer_.second == 0) {
      next_timer_ = loop_.after(kNextGrace, [this] {
        grace_over_ = true;
        desk_.start_more();
      });
    }
    return false;
  }

  void leave() override {
    leaving_ = true;
    process_->stop();
  }

 private:
  void begin() {
    // The API must be there before the program is, and its address in the environment.
    auto server = ApiServer::listen(loop_, init_.network == "host" ? 0 : kPort, api_);
    if (!server) return refuse("the Runtime API cannot be served: " + server.error().detail);
    server_ = std::move(*server);
    const Environment environment = lambda_environment(init_, server_->address(), loop_.clock().wall());
    auto program = program_of(init_, environment);
    if (!program) return refuse(program.error().detail);
    process_.emplace(desk_, std::move(*program), environment, [this](int wait_status) { end(wait_status); });
    if (const Status started = process_->start(); !started) return refuse(started.error().detail);
    start_timer_ = loop_.after(kStartTimeout, [this] { refuse(never_asked()); });
  }

  std::string never_asked() const {
    return fmt::format(
        "{} did not ask for an invocation within {} s: it must call "
        "GET http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next",
        process_->name(), std::chrono::duration_cast<std::chrono::seconds>(kStartTimeout).count());
  }

  void on_next() {
    grace_over_ = false;
    loop_.cancel(std::exchange(next_timer_, {}));
    if (std::exchange(ready_, true)) return desk_.start_more();
    loop_.cancel(start_timer_);
    if (const Status opened = desk_.open(process_->name(), false); !opened) refuse(opened.error().detail);
  }

  // Calls that are under way end with the worker; answers that are whole are sent before.
  void end(int wait_status) {
    if (leaving_) return stop(0);
    if (!ready_) {
      const std::string said = process_->last_words();
      return refuse(fmt::format("{} {} before it asked for an invocation{}{}", process_->name(),
                                describe_end(wait_status), said.empty() ? "" : ": ", said));
    }
    const std::string text =
        "the function's program " + process_->name() + " " + describe_end(wait_status) + "\n";
    desk_.log(desk_.only_call(), wire::Stream::kStderr, text);
    ended_with_ = wait_status;
    if (!api_.only_sends()) stop(end_like(wait_status, channel_));
  }

  void on_idle() {
    if (ended_with_ && !exit_code_) stop(end_like(*ended_with_, channel_));
  }

  void refuse(const ReportedError& error) {
    const std::string place = place_in_trace(error.trace);
    refuse(place.empty() ? error.summary() : place + ": " + error.summary(), error.text());
  }

  void refuse(const std::string& why, const std::string& detail = {}) {
    if (exit_code_) return;
    if (process_) process_->drain();
    stop(refuse_to_load(channel_, why, detail));
  }

  void stop(int code) {
    exit_code_ = code;
    loop_.stop();
  }

  net::Loop& loop_;
  const Init& init_;
  worker::Channel& channel_;
  RuntimeApi api_;
  std::unique_ptr<ApiServer> server_;
  Desk desk_;
  std::optional<ProgramProcess> process_;
  net::Loop::TimerId start_timer_;
  net::Loop::TimerId next_timer_;
  std::optional<int> ended_with_;  // the program's wait status
  std::optional<int> exit_code_;
  bool ready_ = false;
  bool grace_over_ = false;
  bool leaving_ = false;
};

}  // namespace

int serve_lambda(const Init& init, worker::Channel& channel) {
  const SystemClock clock;
  net::Loop loop(clock);
  return LambdaServing(loop, init, channel).run();
}

}  // namespace sterna::native
