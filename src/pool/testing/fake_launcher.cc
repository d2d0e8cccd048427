#include "pool/testing/fake_launcher.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "pool/testing/sent_descriptors.h"

namespace sterna::pool::testing {

FakeWorker::FakeWorker(std::string instance, FunctionConfig config, WorkerDescriptors descriptors,
                       Origin origin, LaunchObserver& observer)
    : instance_(std::move(instance)),
      config_(std::move(config)),
      descriptors_(std::move(descriptors)),
      origin_(std::move(origin)),
      observer_(observer) {
  void* page = ::mmap(nullptr, sizeof(wire::ClaimPage), PROT_READ | PROT_WRITE, MAP_SHARED,
                      descriptors_.claim_page.get(), 0);
  STERNA_ASSERT(page != MAP_FAILED);
  claims_ = static_cast<wire::ClaimPage*>(page);
}

FakeWorker::~FakeWorker() {
  ::munmap(claims_, sizeof *claims_);
}

std::vector<OwnedFrame> FakeWorker::receive() {
  std::vector<OwnedFrame> frames;
  while (descriptors_.socket) {
    char* room = reader_.prepare(64U << 10);
    const ssize_t got = ::recv(descriptors_.socket.get(), room, reader_.writable(), MSG_DONTWAIT);
    if (got <= 0) break;
    reader_.commit(static_cast<std::size_t>(got));
    while (true) {
      const auto frame = reader_.next();
      STERNA_ASSERT(frame.has_value());
      if (!*frame) break;
      const wire::Frame& view = **frame;
      frames.push_back({view.type, view.more, view.slot, view.call, std::string(view.payload)});
    }
  }
  return frames;
}

std::vector<OwnedFrame> FakeWorker::receive(wire::FrameType type) {
  std::vector<OwnedFrame> frames = receive();
  std::erase_if(frames, [type](const OwnedFrame& frame) { return frame.type != type; });
  return frames;
}

void FakeWorker::ready(bool async) {
  const nlohmann::json hello = {{"runtime", "fake 1.0"}, {"async", async}};
  send(wire::FrameType::kReady, wire::More::kNo, 0, 0, hello.dump());
}

void FakeWorker::ready_unpaused(std::string_view why) {
  const nlohmann::json hello = {{"runtime", "fake 1.0"}, {"async", false}, {"not_paused", why}};
  send(wire::FrameType::kReady, wire::More::kNo, 0, 0, hello.dump());
}

void FakeWorker::paused() {
  send(wire::FrameType::kPaused, wire::More::kNo, 0, 0, R"({"runtime": "fake 1.0"})");
}

void FakeWorker::load_failed(std::string_view summary, std::string_view detail) {
  const nlohmann::json hello = {{"summary", summary}, {"detail", detail}};
  send(wire::FrameType::kLoadFailed, wire::More::kNo, 0, 0, hello.dump());
}

void FakeWorker::respond(const OwnedFrame& request, std::string_view body, Duration run, wire::More more) {
  std::string payload;
  wire::append_response(
      payload, {.run_ns = static_cast<std::uint64_t>(run.count()), .header_count = 0, .headers = {}}, body);
  send(wire::FrameType::kResponse, more, request.slot, request.call, payload);
}

void FakeWorker::respond(const OwnedFrame& request, std::uint32_t status, const PlayedHeaders& headers,
                         std::string_view body, wire::More more) {
  std::string block;
  for (const auto& [name, value] : headers) wire::append_header(block, name, value);
  std::string payload;
  wire::append_response(payload,
                        {.status = status,
                         .run_ns = 1'500'000,
                         .header_count = static_cast<std::uint32_t>(headers.size()),
                         .headers = block},
                        body);
  send(wire::FrameType::kResponse, more, request.slot, request.call, payload);
}

void FakeWorker::announce(const OwnedFrame& request, std::uint64_t content_length, std::string_view body,
                          wire::More more, std::uint32_t status) {
  std::string payload;
  wire::append_response(
      payload, {.status = status, .content_length = content_length, .header_count = 0, .headers = {}}, body);
  send(wire::FrameType::kResponse, more, request.slot, request.call, payload);
}

void FakeWorker::fail(const OwnedFrame& request, wire::FailKind kind, std::string_view text) {
  std::string payload;
  wire::append_failed(payload, {.kind = kind, .text = text});
  send(wire::FrameType::kFailed, wire::More::kNo, request.slot, request.call, payload);
}

void FakeWorker::log(const OwnedFrame* request, std::string_view text) {
  std::string payload;
  wire::append_log(payload, {.stream = wire::Stream::kStderr, .text = text});
  send(wire::FrameType::kLog, wire::More::kNo, request == nullptr ? std::uint16_t{0} : request->slot,
       request == nullptr ? 0 : request->call, payload);
}

// The socket's buffer takes all that a test sends at once.
void FakeWorker::send(wire::FrameType type, wire::More more, std::uint16_t slot, std::uint64_t call,
                      std::string_view payload) {
  std::string out;
  wire::append_frame(out, type, more, slot, call, payload);
  const ssize_t sent = ::send(descriptors_.socket.get(), out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  STERNA_ASSERT(sent == static_cast<ssize_t>(out.size()));
}

void FakeWorker::flood(wire::FrameType type, wire::More more, const OwnedFrame& of, std::string_view payload,
                       int times) {
  std::string out;
  for (int i = 0; i < times; ++i) wire::append_frame(out, type, more, of.slot, of.call, payload);
  const ssize_t sent = ::send(descriptors_.socket.get(), out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  STERNA_ASSERT(sent == static_cast<ssize_t>(out.size()));
}

void FakeWorker::print(std::string_view text) {
  const ssize_t written = ::write(descriptors_.output.get(), text.data(), text.size());
  STERNA_ASSERT(written == static_cast<ssize_t>(text.size()));
}

void FakeWorker::print_in_packets() {
  constexpr int kPipeBytes = 1 << 20;  // a page for each packet
  STERNA_ASSERT(::fcntl(descriptors_.output.get(), F_SETFL, O_DIRECT | O_NONBLOCK) == 0);
  STERNA_ASSERT(::fcntl(descriptors_.output.get(), F_SETPIPE_SZ, kPipeBytes) == kPipeBytes);
}

bool FakeWorker::print_if_room(std::string_view text) {
  return ::write(descriptors_.output.get(), text.data(), text.size()) > 0;
}

std::size_t FakeWorker::printed_unread() const {
  int bytes = 0;
  STERNA_ASSERT(::ioctl(descriptors_.output.get(), FIONREAD, &bytes) == 0);
  return static_cast<std::size_t>(bytes);
}

int FakeWorker::send_descriptor(int fd) {
  std::string payload;
  wire::append_log(payload, {.stream = wire::Stream::kStderr, .text = "with a descriptor\n"});
  std::string out;
  wire::append_frame(out, wire::FrameType::kLog, wire::More::kNo, 0, 0, payload);
  return send_with(descriptors_.socket.get(), out, {&fd, 1});
}

void FakeWorker::exit(const WorkerExit& exit) {
  exited_ = true;
  descriptors_ = {};
  observer_.on_exited(instance_, exit);
}

void FakeLauncher::start(const std::string& instance, const FunctionConfig& config,
                         WorkerDescriptors descriptors, const Origin& origin, LaunchObserver& observer) {
  workers_.push_back(
      std::make_unique<FakeWorker>(instance, config, std::move(descriptors), origin, observer));
}

void FakeLauncher::kill(const std::string& instance) {
  for (auto& worker : workers_) {
    if (worker->instance() == instance) worker->killed_ = true;
  }
}

void FakeLauncher::exit_all() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {  // an exit may start another worker
    if (!workers_[i]->exited()) workers_[i]->exit(exit_code(0));
  }
}

}  // namespace sterna::pool::testing
