#include <algorithm>

#include "base/number.h"
#include "bundle/archive.h"
#include "bundle/source.h"
#include "gateway/management.h"
#include "gateway/management_request.h"
#include "net/http_text.h"

namespace sterna::gateway {
namespace {

bool is_gzip(std::string_view type) {
  return type == kGzipType || type == "application/x-gzip" || type == "application/x-tar+gzip";
}

std::expected<bundle::Files, api::Problem> unpacked(const ManagementRequest& request,
                                                    bundle::ArchiveKind kind, const api::FunctionSpec& spec,
                                                    std::uint64_t max_bytes) {
  Result<bundle::Files> files = bundle::unpack(request.body, kind, max_bytes);
  if (!files) return problem(files.error());
  if (Status handler = bundle::check_handler(*files, spec); !handler) return problem(handler.error());
  return std::move(*files);
}

std::expected<bundle::Files, api::Problem> code_of(const ManagementRequest& request,
                                                   const api::FunctionSpec& spec, std::uint64_t max_bytes) {
  const std::string type = content_type(request);
  if (type == kZipType) return unpacked(request, bundle::ArchiveKind::kZip, spec, max_bytes);
  if (is_gzip(type)) return unpacked(request, bundle::ArchiveKind::kTarGz, spec, max_bytes);
  if (!type.empty() && type != kJsonType) {
    return unsupported_media_type("application/json, application/zip or application/gzip");
  }
  const auto json = json_body(request);
  if (!json) return std::unexpected(json.error());
  return bundle::parse_source(*json, "", &spec, max_bytes);
}

// Takes what stands before the next `mark` out of `text`, without the blanks around it.
std::string_view take_part(std::string_view& text, char mark) {
  const std::string_view part = text.substr(0, text.find(mark));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return net::without_blanks(part);
}

// RFC 9110 12.4.2; what is no weight counts as 1.
double weight_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view parameter = take_part(parameters, ';');
    if (parameter.starts_with("q=") || parameter.starts_with("Q="))
      return parse_number<double>(parameter.substr(2)).value_or(1);
  }
  return 1;
}

// Of the types that we have the one to which `Accept` gives the most weight, of several the first; JSON for
// whatever else is taken, and when nothing is.
std::string_view wanted_type(std::string_view accept) {
  std::string_view wanted = kJsonType;
  double most = 0;
  while (!accept.empty()) {
    std::string_view range = take_part(accept, ',');
    const std::string_view name = take_part(range, ';');
    const bool json = name == kJsonType || name == "*/*" || name == "application/*";
    const std::string_view type = name == kZipType ? kZipType : is_gzip(name) ? kGzipType : kJsonType;
    const bool ours = json || type != kJsonType;
    if (const double weight = weight_of(range); ours && weight > most) {
      most = weight;
      wanted = type;
    }
  }
  return wanted;
}

}  // namespace

Management::Answer Management::get_code(const Call& call) {
  const auto function = registry_.find(call.route.space, call.route.function);
  if (!function) return problem(function.error());
  if (function->newest.bundle.empty()) {
    return problem(Error{Code::kNotFound, Component::kRegistry, "no_code", "this function has no code yet"});
  }
  const auto files = bundles_.load(function->newest.bundle);
  if (!files) return problem(files.error());
  const std::string_view type = wanted_type(header_of(call.request, "accept"));
  if (type == kJsonType) {
    ManagementReply reply = json_reply(200, bundle::source_json(*files, function->newest.spec));
    reply.headers.push_back({"Vary", "Accept"});
    return reply;
  }
  const bool zip = type == kZipType;
  Result<std::string> packed =
      bundle::pack(*files, zip ? bundle::ArchiveKind::kZip : bundle::ArchiveKind::kTarGz);
  if (!packed) return problem(packed.error());
  const std::string file_name = function->name + (zip ? ".zip" : ".tar.gz");
  return ManagementReply{200,
                         {{"Content-Type", std::string(type)},
                          {"Vary", "Accept"},
                          {"Content-Disposition", "attachment; filename=\"" + file_name + "\""}},
                         std::move(*packed)};
}

Management::Answer Management::put_code(const Call& call) {
  const auto found = registry_.find(call.route.space, call.route.function);
  if (!found) return problem(found.error());
  // Unpacking may take long: before the lock, which others wait for.
  auto files = code_of(call.request, found->newest.spec, max_code_bytes_);
  if (!files) return std::unexpected(files.error());
  const std::scoped_lock lock(writes_);
  const auto before = registry_.find(call.route.space, call.route.function);
  if (!before) return problem(before.error());
  return save(call, before->newest.spec, std::move(*files));
}

}  // namespace sterna::gateway
