#include "native/http/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <optional>

#include "base/clock.h"
#include "native/end.h"
#include "native/http/http_run.h"
#include "native/http/server_process.h"
#include "native/program.h"

namespace sterna::native {
namespace {

// In a network of its own every worker has all ports.
constexpr std::uint16_t kPort = 8080;
constexpr const char* kSocketPath = "/tmp/sterna-http.sock";

// In the machine's network: one that nobody listens on now.
std::uint16_t free_port() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return kPort;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), generic, size) != 0 || ::getsockname(socket.get(), generic, &size) != 0)
    return kPort;
  return ntohs(address.sin_port);
}

Environment environment_of(const Init& init) {
  Environment environment(init);
  environment.set("PORT", std::to_string(init.network == "host" ? free_port() : kPort));
  environment.set("STERNA_SOCKET", kSocketPath);
  return environment;
}

class HttpServing final : public RunMaker {
 public:
  HttpServing(net::Loop& loop, const Init& init, worker::Channel& channel, Program program)
      : loop_(loop),
        channel_(channel),
        name_(program.argv.front()),
        desk_(loop, channel, init.async_concurrency, *this),
        server_(desk_, std::move(program), environment_of(init),
                init.network == "host" ? Ports::kShared : Ports::kOwn,
                init.on_trial ? Trial::kYes : Trial::kNo,
                {.on_listening = [this](const Target& target) { open(target); },
                 .on_failed = [this](const std::string& why) { refuse(why); },
                 .on_ended = [this](int wait_status) { end(wait_status); }}) {}

  int run() {
    server_.start();
    if (!exit_code_) loop_.run();
    return exit_code_.value_or(0);
  }

  std::unique_ptr<Run> start(Exchange& exchange) override {
    STERNA_ASSERT(upstream_.has_value());  // calls come only after the desk was opened
    auto run = std::make_unique<HttpRun>(exchange, *upstream_);
    run->begin();
    return run;
  }

  void leave() override {
    leaving_ = true;
    server_.stop();
  }

 private:
  void open(const Target& target) {
    upstream_.emplace(loop_, target);
    if (const Status opened = desk_.open(name_, true); !opened) refuse(opened.error().detail);
  }

  void refuse(const std::string& why) { stop(refuse_to_load(channel_, why)); }

  // Calls that are under way end with the worker.
  void end(int wait_status) {
    if (leaving_) return stop(0);
    const std::string text = "the function's server " + name_ + " " + describe_end(wait_status) + "\n";
    desk_.log(desk_.only_call(), wire::Stream::kStderr, text);
    stop(end_like(wait_status, channel_));
  }

  void stop(int code) {
    exit_code_ = code;
    loop_.stop();
  }

  net::Loop& loop_;
  worker::Channel& channel_;
  const std::string name_;
  std::optional<Upstream> upstream_;
  Desk desk_;
  ServerProcess server_;
  std::optional<int> exit_code_;
  bool leaving_ = false;
};

}  // namespace

int serve_http(const Init& init, worker::Channel& channel) {
  auto program = program_of(init, environment_of(init));
  if (!program) return refuse_to_load(channel, program.error().detail);
  if (!init.request_buffering) channel.inbox().pass_parts();
  const SystemClock clock;
  net::Loop loop(clock);
  return HttpServing(loop, init, channel, std::move(*program)).run();
}

}  // namespace sterna::native
