// Frames that a worker sends: user code holds the other end of the socket and may write what it likes.
#include <algorithm>
#include <cstring>
#include <string>

#include "input.h"
#include "pool/response_check.h"
#include "wire/messages.h"

namespace sterna::fuzz {
namespace {

void walk(std::string_view block, std::uint32_t count) {
  wire::HeaderWalk headers(block, count);
  std::string again;
  std::string_view name;
  std::string_view value;
  while (headers.next(name, value)) wire::append_header(again, name, value);
  must(!headers.ok() || again == block, "a block of headers is written as it was read");
}

// Each reader with each payload: which frame it came in is for the sender to say.
void read_payload(std::string_view payload) {
  std::string_view part;
  std::string again;
  if (wire::RequestHead request; wire::read_request(payload, request, part)) {
    walk(request.headers, request.header_count);
    wire::append_request(again, request, part);
    must(again == payload, "a request is written as it was read");
  }
  again.clear();
  if (wire::ResponseHead response; wire::read_response(payload, response, part)) {
    walk(response.headers, response.header_count);
    if (pool::check_response(response).empty()) {
      wire::HeaderWalk headers(response.headers, response.header_count);
      std::string_view name;
      std::string_view value;
      while (headers.next(name, value)) {
        must(name.find_first_of(" :\r\n") == std::string_view::npos, "no name that splits an answer");
        must(value.find_first_of("\r\n") == std::string_view::npos, "no value that splits an answer");
      }
    }
    wire::append_response(again, response, part);
    must(again == payload, "a response is written as it was read");
  }
  wire::Failed failed;
  (void)wire::read_failed(payload, failed);
  wire::LogText log;
  (void)wire::read_log(payload, log);
  std::uint32_t window = 0;
  (void)wire::read_window(payload, window);
}

}  // namespace
}  // namespace sterna::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna;        // NOLINT(google-build-using-namespace): this program's own
  using namespace sterna::fuzz;  // NOLINT(google-build-using-namespace): this program's own
  std::string_view rest = text_of(data, size);
  Cutter cutter(take_byte(rest));
  wire::FrameReader reader;
  while (!rest.empty()) {
    const std::size_t part = std::min(rest.size(), cutter.next(64));
    std::memcpy(reader.prepare(part), rest.data(), part);
    reader.commit(part);
    rest.remove_prefix(part);
    while (true) {
      const bool announced = reader.has_frame();
      const auto frame = reader.next();
      must(announced == (!frame.has_value() || frame->has_value()), "has_frame tells what next will do");
      if (!frame) return 0;
      if (!*frame) break;
      must((*frame)->payload.size() <= wire::kMaxPayloadBytes, "no payload beyond the limit");
      read_payload((*frame)->payload);
    }
    must(reader.writable() <= wire::kMaxPayloadBytes + (1U << 20), "the buffer has a bound");
  }
  return 0;
}
