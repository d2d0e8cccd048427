#include "native/worker_main.h"

#include <signal.h>
#include <unistd.h>

#include <mutex>
#include <optional>
#include <string>

#include "native/command/command.h"
#include "native/cpp/cpp.h"
#include "native/http/http.h"
#include "native/init.h"
#include "native/lambda/lambda.h"
#include "native/program.h"
#include "worker/channel.h"

namespace sterna::native {
namespace {

constexpr int kExitBroken = 70;  // EX_SOFTWARE: the two sides do not understand each other

int broken(const std::string& why) {
  const std::string text = "sterna: the worker cannot start: " + why + "\n";
  static_cast<void>(!::write(2, text.data(), text.size()));
  return kExitBroken;
}

// Waits for INIT; nullopt when the server is gone.
Result<std::optional<Init>> read_init(worker::Channel& channel) {
  while (true) {
    const auto read = channel.reader().next();
    if (!read) return std::unexpected(read.error());
    if (const std::optional<wire::Frame>& frame = *read) {
      if (frame->type != wire::FrameType::kInit) {
        return fail(Code::kInvalid, Component::kWorker, "bad_frame", "the first frame is not INIT");
      }
      auto init = parse_init(frame->payload);
      if (!init) return std::unexpected(init.error());
      return std::move(*init);
    }
    if (channel.fill(worker::Wait::kYes) == worker::Channel::Filled::kEnd) return std::nullopt;
  }
}

int serve(const Init& init, worker::Channel& channel, worker::MutexGuard& guard) {
  if (::chdir(init.bundle.c_str()) != 0)
    return refuse_to_load(channel, "the function's folder cannot be entered");
  if (init.template_name == "command") return serve_command(init, channel);
  if (init.template_name == "cpp") return serve_cpp(init, channel, guard);
  if (init.template_name == "http") return serve_http(init, channel);
  if (init.template_name == "lambda") return serve_lambda(init, channel);
  return refuse_to_load(channel,
                        "this server's native runtime does not know the template " + init.template_name);
}

}  // namespace

int run_worker(int socket_fd, int claim_fd) {
  ::signal(SIGPIPE, SIG_IGN);
  worker::MutexGuard guard;
  const std::scoped_lock held(guard.mutex());
  auto channel = worker::Channel::open(UniqueFd(socket_fd), UniqueFd(claim_fd), guard);
  if (!channel) return broken(channel.error().detail);
  const auto init = read_init(**channel);
  if (!init) return broken(init.error().detail);
  if (!*init) return 0;
  const int code = serve(**init, **channel, guard);
  (*channel)->lines().end_all((*channel)->out());
  (*channel)->flush();
  return code;
}

}  // namespace sterna::native
