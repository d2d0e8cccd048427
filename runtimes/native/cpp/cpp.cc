#include "native/cpp/cpp.h"

#include <dlfcn.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "native/cpp/cpp_call.h"
#include "native/cpp/log_streams.h"
#include "native/cpp/thread_server.h"
#include "native/environment.h"
#include "native/program.h"
#include "worker/hello.h"
#include "worker/sync_server.h"

namespace sterna::native {
namespace {

constexpr const char* kLibrary = "./handler.so";
constexpr const char* kEntry = "sterna_handle_v1";
constexpr std::string_view kHandleSymbol = "_Z6handleRKN6sterna7RequestE";
constexpr int kExitBroken = 70;  // as in worker_main.cc

// Several calls share one read and one write; user code runs in this thread.
class CppServer final : private worker::SyncServer, private AnswerWindow {
 public:
  CppServer(worker::Channel& channel, worker::MutexGuard& guard, CppHandler handler)
      : SyncServer(channel), mutex_(guard.mutex()), handler_(handler) {}
  using SyncServer::run;

 private:
  Result<std::uint64_t> run_handler(worker::CallId id, std::string_view payload) override {
    payload_.assign(payload);  // reads while a body is sent in parts take the place of what came
    const std::uint64_t run_ns = CppCall(channel(), mutex_, *this, id).run(handler_, payload_);
    if (broken_) return std::unexpected(*broken_);
    return run_ns;
  }
  // It gives the mutex away while it waits, and other threads of the handler may come. One of them reads.
  std::size_t take(std::size_t wanted) override {
    std::unique_lock lock(mutex_, std::adopt_lock);
    may_read_.wait(lock, [this] { return !is_reading_; });
    lock.release();
    is_reading_ = true;
    const auto taken = take_window(wanted);
    is_reading_ = false;
    may_read_.notify_one();
    if (!taken) broken_ = taken.error();
    return taken.value_or(0);
  }
  bool is_cancelled() override {
    if (is_reading_) return is_known_cancelled();
    const auto cancelled = SyncServer::is_cancelled();
    if (!cancelled) broken_ = cancelled.error();
    return cancelled.value_or(true);
  }

  std::mutex& mutex_;
  std::condition_variable may_read_;
  bool is_reading_ = false;
  const CppHandler handler_;
  std::string payload_;
  std::optional<Error> broken_;  // the connection, found out in the middle of a call
};

// nullptr: `why` tells.
CppHandler load(std::string& why) {
  if (::access(kLibrary, R_OK) != 0) {
    why = "there is no handler.so: compile handler.cc into it and deploy both, as docs/templates.md shows";
    return nullptr;
  }
  void* const library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    why = ::dlerror();
    if (why.contains(kHandleSymbol)) {
      why =
          "handler.cc defines no `sterna::Response handle(const sterna::Request& request)`: define it, "
          "outside "
          "of any namespace";
    }
    return nullptr;
  }
  const auto handler = reinterpret_cast<CppHandler>(::dlsym(library, kEntry));
  if (handler == nullptr) {
    why =
        "handler.so was not made with this version of <sterna/function.h>: include it in handler.cc and "
        "build again";
  }
  return handler;
}

}  // namespace

int serve_cpp(const Init& init, worker::Channel& channel, worker::MutexGuard& guard) {
  const Environment environment(init);
  std::vector<char*> variables = environment.pointers();
  ::environ = variables.data();
  replace_log_streams(channel, guard.mutex());
  std::string why;
  CppHandler handler = nullptr;
  {
    const worker::Guard::Pause paused(guard);
    handler = load(why);  // runs user code, which may print
    flush_log_streams();
  }
  if (handler == nullptr) return refuse_to_load(channel, why);
  worker::append_ready(channel.out(), "c++", false);
  channel.flush();
  const Status ran = init.concurrency > 1 ? ThreadServer(channel, guard, handler, init.concurrency).run()
                                          : CppServer(channel, guard, handler).run();
  const worker::Guard::Pause paused(guard);
  flush_log_streams();
  return ran ? 0 : kExitBroken;
}

}  // namespace sterna::native
