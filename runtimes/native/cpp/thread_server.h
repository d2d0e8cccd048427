// Serves a C++ handler with several calls at a time: this thread reads, a fixed number of threads run calls.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "native/cpp/cpp_call.h"

namespace sterna::native {

class ThreadServer {
 public:
  // `guard` is the channel's. All must outlive the server.
  ThreadServer(worker::Channel& channel, worker::MutexGuard& guard, CppHandler handler, std::size_t threads);
  ~ThreadServer();

  // Serves until SHUTDOWN or until the server is gone. Needs the guard. Fails with invalid, reason
  // `bad_frame`.
  Status run();

 private:
  struct Queued {
    worker::CallId id;
    std::string payload;
  };
  // Of one running call; `mutex` of the guard is held around everything.
  class Window final : public AnswerWindow {
   public:
    Window(worker::Channel& channel, std::mutex& mutex) : channel_(channel), mutex_(mutex) {}
    std::size_t take(std::size_t wanted) override;
    bool is_cancelled() override { return cancelled_ || channel_.closed(); }
    void widen(std::uint32_t bytes);
    void cancel();

   private:
    worker::Channel& channel_;
    std::mutex& mutex_;
    std::condition_variable changed_;
    std::uint64_t bytes_ = wire::kInitialWindow;
    bool cancelled_ = false;
  };

  void take_in(worker::Arrival arrival);
  void cancel(std::uint16_t slot, std::uint64_t call);
  void work();
  bool idle() const { return queued_.empty() && running_.empty(); }

  worker::Channel& channel_;
  std::mutex& mutex_;
  const CppHandler handler_;
  std::condition_variable arrived_;
  std::condition_variable ended_;
  std::deque<Queued> queued_;
  std::map<std::uint64_t, Window*> running_;  // by call
  bool shutting_down_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sterna::native
