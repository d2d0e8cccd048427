// Stands in for processes in tests of the pool: a started worker is the other end of its socket, driven by
// the test.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pool/launcher.h"
#include "wire/messages.h"

namespace sterna::pool::testing {

// How a process ended.
inline WorkerExit exit_code(int code) {
  WorkerExit exit;
  exit.code = code;
  return exit;
}
inline WorkerExit exit_signal(int signal) {
  WorkerExit exit;
  exit.signal = signal;
  return exit;
}
inline WorkerExit exit_out_of_memory() {
  WorkerExit exit = exit_signal(9);
  exit.out_of_memory = true;
  return exit;
}

// A frame that outlives the reader's buffer.
struct OwnedFrame {
  wire::FrameType type{};
  wire::More more = wire::More::kNo;
  std::uint16_t slot = 0;
  std::uint64_t call = 0;
  std::string payload;
};

using PlayedHeaders = std::vector<std::pair<std::string, std::string>>;

// The worker's side of the protocol.
class FakeWorker {
 public:
  FakeWorker(std::string instance, FunctionConfig config, WorkerDescriptors descriptors, Origin origin,
             LaunchObserver& observer);
  ~FakeWorker();
  FakeWorker(const FakeWorker&) = delete;
  FakeWorker& operator=(const FakeWorker&) = delete;

  const std::string& instance() const { return instance_; }
  const FunctionConfig& config() const { return config_; }
  const Origin& origin() const { return origin_; }
  bool killed() const { return killed_; }
  bool exited() const { return exited_; }
  wire::Claim claim(std::uint16_t slot) const { return claims_->get(slot); }
  std::uint32_t bell() const { return claims_->bell(); }

  // Whole frames that the server has sent since the last call.
  std::vector<OwnedFrame> receive();
  // The same, those of one type only.
  std::vector<OwnedFrame> receive(wire::FrameType type);

  // What a worker does before user code runs; false when the call was taken back.
  bool begin(const OwnedFrame& request) {
    return claims_->swap_from_queued(request.slot, wire::Claim::kStarted);
  }
  void ready(bool async = false);
  // Loaded, and could not pause though it should have.
  void ready_unpaused(std::string_view why);
  void paused();
  void load_failed(std::string_view summary, std::string_view detail);
  void respond(const OwnedFrame& request, std::string_view body, Duration run,
               wire::More more = wire::More::kNo);
  // After a run of 1.5 ms.
  void respond(const OwnedFrame& request, std::uint32_t status, const PlayedHeaders& headers,
               std::string_view body, wire::More more = wire::More::kNo);
  // The head alone says how long the body is.
  void announce(const OwnedFrame& request, std::uint64_t content_length, std::string_view body,
                wire::More more, std::uint32_t status = 200);
  void fail(const OwnedFrame& request, wire::FailKind kind, std::string_view text);
  void log(const OwnedFrame* request, std::string_view text);
  void send(wire::FrameType type, wire::More more, std::uint16_t slot, std::uint64_t call,
            std::string_view payload);
  // The same frame so often, as one piece.
  void flood(wire::FrameType type, wire::More more, const OwnedFrame& of, std::string_view payload,
             int times);
  void print(std::string_view text);  // to its stdout
  // From now on each piece that it prints is a packet, which comes with a read of its own.
  void print_in_packets();
  // False: the pipe is full.
  bool print_if_room(std::string_view text);
  std::size_t printed_unread() const;
  // A LOG frame that carries the descriptor along. Answers errno, 0 when it was sent.
  int send_descriptor(int fd);

  // Its socket closes: the process is ending, or its code has closed it.
  void hang_up() { descriptors_.socket.reset(); }
  // The process ends, and the launcher hears of it.
  void exit(const WorkerExit& exit);

 private:
  friend class FakeLauncher;
  const std::string instance_;
  const FunctionConfig config_;
  WorkerDescriptors descriptors_;
  const Origin origin_;
  LaunchObserver& observer_;
  wire::ClaimPage* claims_ = nullptr;
  wire::FrameReader reader_;
  bool killed_ = false;
  bool exited_ = false;
};

class FakeLauncher final : public Launcher {
 public:
  void start(const std::string& instance, const FunctionConfig& config, WorkerDescriptors descriptors,
             const Origin& origin, LaunchObserver& observer) override;
  // Notes the wish only: the test lets the worker end with FakeWorker::exit.
  void kill(const std::string& instance) override;

  std::size_t started() const { return workers_.size(); }
  // In the order in which they were started.
  FakeWorker& worker(std::size_t index) { return *workers_.at(index); }
  // Ends all that still live.
  void exit_all();

 private:
  std::vector<std::unique_ptr<FakeWorker>> workers_;
};

}  // namespace sterna::pool::testing
